"""What each fault costs a training on the real cluster: runs the matrix, and writes the table of docs/reliability.md.

The last columns are of the same training under Kubeflow Trainer, in the same run. Run ``make bench-faults``, as root
and with Go. An argument chooses rows, as pytest's ``-k`` does; the others stay as they are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
PAGE = REPOSITORY / "docs/reliability.md"
BEGIN, END = "<!-- table: make bench-faults -->", "<!-- end of table -->"
NAMES = (
    "fault",
    "may cost",
    "logged steps lost",
    "retries",
    "seconds to the next logged step",
    "with Kubeflow Trainer: steps lost",
    "restarts",
    "seconds",
)
HEAD = f"| {' | '.join(NAMES)} |\n|{' --- |' * len(NAMES)}\n"

Row = dict[str, Any]


def lines(rows: list[Row]) -> list[str]:
    """The rows of ours, each with the peer's of the same fault where there is one."""
    peers = {row["fault"]: row for row in rows if "by" in row}
    return [_line(row, peers.get(row["fault"])) for row in rows if "by" not in row]


def with_table(page: str, table: list[str]) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{HEAD}{''.join(table)}\n{END}{after}"


def with_rows(page: str, measured: list[str]) -> str:
    """The page with these lines in the place of those of the same faults."""
    table = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    new = {_fault(line): line for line in measured}
    return with_table(page, [new.get(_fault(line), f"{line}\n") for line in table])


def _fault(line: str) -> str:
    return line.split("|")[1].strip()


def _line(row: Row, peer: Row | None) -> str:
    cells = [row["fault"], row.get("claim", ""), row.get("lost", ""), row.get("retries", "")]
    cells.append(_seconds(row, "not noticed"))
    if peer is None:
        cells += ["", "", ""]
    else:
        seconds = _seconds(peer, f"not in {peer.get('waited', 0):.0f}")
        cells += [peer.get("lost", ""), peer.get("restarts", ""), seconds]
    return f"| {' | '.join('' if cell is None else str(cell) for cell in cells)} |\n"


def _seconds(row: Row, without: str) -> str:
    return without if row["seconds"] is None else f"{row['seconds']:.1f}"


def main(chosen: list[str]) -> int:
    """The exit status of the tests.

    Args:
        chosen: an expression of pytest's ``-k``, or nothing for all rows.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        command = [sys.executable, "-m", "pytest", "--on-demand", "-n0", "tests/cluster/test_fault_matrix.py"]
        command += [word for one in chosen for word in ("-k", one)]
        done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | {"MTJ_FAULT_ROWS": str(path)}, check=False)
        rows = [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []
    measured, page = lines(rows), PAGE.read_text()
    if measured:
        PAGE.write_text(with_rows(page, measured) if chosen else with_table(page, measured))
    print("".join(measured))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
