"""The pages of ``docs/guides`` as what they have to be written and run: their fenced blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

GUIDES = sorted((Path(__file__).parents[2] / "docs/guides").glob("*.md"))


class Block(NamedTuple):
    """A fenced block: its language, the marks after it, and its text."""

    language: str
    marks: str
    text: str


def blocks(guide: Path) -> list[Block]:
    """The blocks of a page, in order."""
    fences = re.findall(r"^```(\w+)(.*)\n((?:.*\n)*?)```$", guide.read_text(encoding="utf-8"), re.MULTILINE)
    return [Block(language, marks.strip(), text) for language, marks, text in fences]
