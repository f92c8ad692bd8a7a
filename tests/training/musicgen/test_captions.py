"""What captions say of a track."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_trainer.families.musicgen.captions import caption
from mtj_trainer.music.instruments import DRUMS, PROGRAM_NAMES
from mtj_trainer.prepare.dataset import Track

CHORALE = {"genre": ("baroque", "chorale"), "key": "Gmaj", "metre": "4/4", "tempo": 96.0, "programs": (19,)}


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (CHORALE, "a baroque chorale in G major, 4/4, 96 bpm, church organ"),
        (
            {**CHORALE, "mood": ("Solemn", "calm")},
            "a solemn, calm baroque chorale in G major, 4/4, 96 bpm, church organ",
        ),
        (
            {**CHORALE, "title": "Ach Gott", "composer": "J. S. Bach"},
            "a baroque chorale in G major, 4/4, 96 bpm, church organ",
        ),
        ({"key": "F#min"}, "a piece in F sharp minor"),
        ({"key": "Bbmaj", "mood": ("eerie",)}, "an eerie piece in B flat major"),
        ({"key": "Bmin"}, "a piece in B minor"),
        ({"genre": ("Rock",), "tempo": 119.6}, "a rock piece, 120 bpm"),
        ({"genre": ("Viennese Waltz",), "metre": "3/4"}, "a viennese waltz, 3/4"),
        ({"instruments": ("Violin", "violin", "Piano"), "programs": (19,)}, "a piece, violin, piano"),
        ({"programs": (0, DRUMS, 32, 48, 49, 60)}, "a piece, grand piano, drums, acoustic bass, string ensemble"),
        ({"title": "Rain on a Tin Roof"}, "Rain on a Tin Roof"),
        ({}, "music"),
        ({**CHORALE, "extra": {"caption": " A choir\n sings. "}}, "A choir sings."),
        ({"extra": {"caption": " ", "text": "dogs bark", "description": "a dog"}}, "a dog"),
    ],
)
def test_a_caption_says_what_is_known(known: dict[str, Any], said: str) -> None:
    track = Track(id="a", file_path="a.flac", files=("a.flac",), split="train", duration=1.0, **known)
    assert caption(track) == said


@pytest.mark.parametrize(
    ("program", "name"), [(0, "grand piano"), (19, "church organ"), (40, "violin"), (73, "flute"), (127, "gunshot")]
)
def test_programs_have_the_names_of_general_midi(program: int, name: str) -> None:
    assert PROGRAM_NAMES[program] == name
    assert len(PROGRAM_NAMES) == DRUMS + 1
