"""Writes the dashboards into a folder: ``python -m dashboards charts/mtj-operator/dashboards``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.fleet import fleet
from dashboards.job import job
from dashboards.operator import operator

DASHBOARDS = {"fleet": fleet, "job": job, "operator": operator}


def written() -> dict[str, str]:
    """The text of each dashboard's file, by the file's name."""
    return {
        f"{name}.json": json.dumps(make().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, make in DASHBOARDS.items()
    }


def main(folder: Path) -> None:
    """Write them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in written().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
