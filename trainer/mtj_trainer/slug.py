"""Names of files for what people call things."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 48


def slug(text: str) -> str:
    """A file name's stem of any text: ``Gmaj, 4/4, 96 bpm`` as ``gmaj-4-4-96-bpm``."""
    plain = unicodedata.normalize("NFKD", text.replace("#", " sharp ")).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].strip("-") or "untitled"
