"""What each fault costs a training on the real cluster: runs the matrix, and writes the table of docs/reliability.md.

Run ``make bench-faults``, as root and with Go. Arguments choose rows, as pytest's ``-k`` does.
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
NAMES = ("fault", "may cost", "logged steps lost", "retries", "seconds to the next logged step")
HEAD = f"| {' | '.join(NAMES)} |\n|{' --- |' * len(NAMES)}\n"


def line(row: dict[str, Any]) -> str:
    seconds = "not noticed" if row["seconds"] is None else f"{row['seconds']:.1f}"
    cells = [row["fault"], row.get("claim", ""), row.get("lost", ""), row.get("retries", ""), seconds]
    return f"| {' | '.join(str(cell) for cell in cells)} |\n"


def with_table(page: str, rows: list[dict[str, Any]]) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{HEAD}{''.join(map(line, rows))}\n{END}{after}"


def main(chosen: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        command = [sys.executable, "-m", "pytest", "--on-demand", "-n0", "tests/cluster/test_fault_matrix.py"]
        command += [word for one in chosen for word in ("-k", one)]
        done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | {"MTJ_FAULT_ROWS": str(path)}, check=False)
        rows = [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []
    if rows and not chosen:
        PAGE.write_text(with_table(PAGE.read_text(), rows))
    print("".join(map(line, rows)))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
