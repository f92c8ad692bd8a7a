"""Names of files for what people call things."""

from __future__ import annotations

import re

import pytest

from mtj_trainer.slug import slug


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Gmaj, 4/4, 96 bpm", "gmaj-4-4-96-bpm"), ("Ärger & Öl", "arger-ol"), ("../../etc", "etc"), ("音楽", "untitled")],
)
def test_a_slug_is_a_safe_file_name(text: str, expected: str) -> None:
    assert slug(text) == expected
    assert re.fullmatch(r"[a-z0-9-]{1,48}", slug(text * 20))
