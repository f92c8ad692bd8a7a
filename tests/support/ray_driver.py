"""What a leader of several machines may run in place of preparing: it notes where its tasks ran.

    python -m support.ray_driver NOTES TASKS NODES --job FILE

It gives out tasks until as many as it was told are done and as many nodes as it was told have done one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mtj_trainer.prepare.pool import Done, WorkerPool


def where(number: int) -> tuple[str, dict[str, str]]:
    """Run on some node: its id and environment."""
    import ray

    time.sleep(0.2)
    return ray.get_runtime_context().get_node_id(), dict(os.environ)


def main(notes: Path, tasks: int, nodes: int) -> None:
    """Write down, as each task ends, which nodes have been seen, and the environment that the last one ran in."""
    seen: dict[str, int] = {}

    def numbers() -> Iterator[int]:
        number = 0
        while number < tasks or len(seen) < nodes:
            yield number
            number += 1

    with WorkerPool(2) as pool:
        for outcome in pool.run(where, numbers()):
            assert isinstance(outcome, Done)
            node, environment = outcome.result
            seen[node] = seen.get(node, 0) + 1
            notes.with_suffix(".part").write_text(json.dumps({"seen": seen, "environment": environment}))
            notes.with_suffix(".part").replace(notes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
