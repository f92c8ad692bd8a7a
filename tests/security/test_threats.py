"""The list of threats and the tests that hold them: neither without the other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")

ROWS = [row.strip("|").split(" | ") for row in PAGE.splitlines() if row.startswith("| ") and "`tests/" in row]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_threat_names_what_holds_it_and_a_test() -> None:
    tables = re.findall(r"^\| Threat .*\n\| --- .*\n((?:\| .*\n)+)", PAGE, re.MULTILINE)
    assert sum(len(table.splitlines()) for table in tables) == len(ROWS) >= 30
    for row in ROWS:
        threat, held, tests = row
        assert threat.strip()
        assert held.strip()
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tests)


@pytest.mark.parametrize(("file", "test"), NAMED, ids=[test for _, test in NAMED])
def test_a_named_test_is_there(file: str, test: str) -> None:
    assert test in functions(ROOT / file)


def test_every_test_of_security_is_named() -> None:
    here = {
        (f"tests/security/{path.name}", name)
        for path in Path(__file__).parent.glob("test_*.py")
        if path.name != Path(__file__).name
        for name in functions(path)
        if name.startswith("test_")
    }
    assert here - set(NAMED) == set()
