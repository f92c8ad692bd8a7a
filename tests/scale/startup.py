"""How soon ``mtj validate`` answers: beside ``import torch`` alone, in turn, medians of the rounds.

Run ``python tests/scale/startup.py``. Prints one JSON object of seconds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "manifests/samples/chorales.yaml"
ROUNDS = 7
COMMANDS = {
    "validate": [sys.executable, "-m", "mtj_operator.cli", "validate", str(SAMPLE)],
    "import_torch": [sys.executable, "-c", "import torch"],
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    for command in COMMANDS.values():
        seconds(command)  # from the disk into memory
    rounds = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(ROUNDS)]
    medians = {name: round(statistics.median(times[name] for times in rounds), 3) for name in COMMANDS}
    print(json.dumps({**medians, "ratio": round(medians["validate"] / medians["import_torch"], 3)}))


if __name__ == "__main__":
    main()
