"""The messages by which one looks a trouble up are those that the program says."""

from __future__ import annotations

import re

import pytest

from support.kubectl import REPOSITORY

PAGE = REPOSITORY / "docs/guides/troubleshooting.md"
OF_OTHERS = (
    'secret "s3" not found',
    "0/5 nodes are available",
    "unknown field",
    "no matches for kind",
    "is forbidden",
    "NCCL",
    "unhandled system error",
)
"""What Kubernetes, the API server and NCCL say."""

FILLED_IN = re.compile(r"\.\.\.|\{[^{}]*\}|\b\d+\b|\b(?:music|codec)\b")
"""What a message has in the place of names and numbers."""


def quoted() -> list[str]:
    """What stands as code in the first column of a table, but for names of settings, states and files."""
    rows = re.findall(r"^\| (?!you see|the message|---)(.*?) \|", PAGE.read_text(), re.MULTILINE)
    found = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]
    return [quote for quote in found if " " in quote and not quote.startswith("kubectl ")]


def said() -> str:
    """All text of the program, without the seams of strings that are written over several lines."""
    files = [path for part in ("operator", "trainer") for path in (REPOSITORY / part).rglob("*.py")]
    text = "\n".join(path.read_text() for path in sorted(files))
    return re.sub(r'"\s*\n\s*f?"', "", text)


TEXT = said()


@pytest.mark.parametrize("quote", [quote for quote in quoted() if not any(word in quote for word in OF_OTHERS)])
def test_a_message_that_the_page_quotes_is_said(quote: str) -> None:
    for part in FILLED_IN.split(quote):
        assert part.strip(" ,:") in TEXT


def test_the_page_quotes_messages() -> None:
    assert len(quoted()) > 20
