"""All measurements of speed, one after the other, as a table in Markdown: ``make bench``.

Each is a script of its own that compares what it measures with a baseline within one run, since only such ratios mean
something on another machine. Names of scripts as arguments choose among them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
JOB = HERE.parents[1] / "manifests/samples/chorales.yaml"
OUTPUT = Path("out/bench")


def measured(script: Path) -> dict[str, Any]:
    """The JSON object that a script prints as its last line."""
    arguments = [prepared_chorales()] if script.stem in ("checkpoints", "training") else []
    environment = os.environ | ({"OMP_NUM_THREADS": "1"} if script.stem == "recordings" else {})
    printed = subprocess.run(
        [sys.executable, str(script), *arguments], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    figures: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return figures


def prepared_chorales() -> str:
    """The URL of the data set that training is measured on."""
    command = [sys.executable, "-m", "mtj_operator.cli", "run", str(JOB), "--until", "prepare"]
    subprocess.run([*command, "--set", f"spec.output={OUTPUT}"], check=True, stdout=sys.stderr)
    return str(json.loads((OUTPUT / "stages/prepare.json").read_text())["dataset"])


def rows(figures: dict[str, Any], prefix: str) -> Iterator[tuple[str, float | str]]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from rows(value, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", value


def main(names: list[str]) -> None:
    scripts = sorted(path for path in HERE.glob("*.py") if path != Path(__file__))
    print("| figure | value |\n| --- | --- |", flush=True)
    for script in scripts:
        if not names or script.stem in names:
            for name, value in rows(measured(script), script.stem):
                print(f"| {name} | {value if isinstance(value, str) else format(value, ',.4g')} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
