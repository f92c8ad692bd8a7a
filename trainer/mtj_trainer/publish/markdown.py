"""Words of others in Markdown: whatever they are, they are read as words, and not as Markdown, HTML or a command.

Sources: CommonMark 0.31: 2.4 backslash escapes, 4.5 fenced code blocks, 6.1 code spans.
"""

from __future__ import annotations

import re
import shlex

from mtj_api.errors import visible

LONGEST = 200
"""Characters of a text within a line."""

_ACTIVE = re.compile(r"([\\`*_\[\]<>!|~&$]|(?<=www)\.|://|@)")


def plain(text: str) -> str:
    """A text amid a line, without links, emphasis or HTML, and cut where it is long."""
    line = visible(" ".join(text.split()))
    cut = line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
    return _ACTIVE.sub(lambda found: "".join(f"\\{c}" for c in found[0]), cut)


def code(text: str) -> str:
    """A text as a code span."""
    line = visible(text)
    fence = "`" * (_longest_run(line) + 1)
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{line}{space}{fence}"


def command(text: str) -> str:
    """A text as one word of a shell's command line."""
    return shlex.quote(visible(text))


def fence(text: str) -> str:
    """What begins and ends a code block of this text."""
    return "`" * max(3, _longest_run(text) + 1)


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
