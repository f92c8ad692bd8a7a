"""Tempo and key as heard, and how near they are to what was asked."""

from __future__ import annotations

import numpy as np
import pytest

from mtj_trainer.evaluate.audio.hearing import Hearing, hear, hearing_figures, key_score, matches, tempo_matches
from mtj_trainer.music import KEYS
from support.sounds import clicks


@pytest.mark.parametrize(
    ("asked", "found", "exactly", "by_octaves"),
    [
        (100, 100, True, True),
        (100, 103.9, True, True),
        (100, 104.1, False, False),
        (100, 200, False, True),
        (100, 51.9, False, True),
        (100, 33, False, True),
        (100, 300, False, True),
        (100, 150, False, False),
        (100, None, False, False),
    ],
)
def test_a_tempo_may_be_tapped_at_other_levels(
    asked: float, found: float | None, exactly: bool, by_octaves: bool
) -> None:
    assert tempo_matches(asked, found, octaves=False) is exactly
    assert tempo_matches(asked, found) is by_octaves


@pytest.mark.parametrize(
    ("asked", "found", "score"),
    [
        ("Cmaj", "Cmaj", 1.0),
        ("F#min", "Gbmin", 1.0),
        ("Cmaj", "Gmaj", 0.5),
        ("Cmaj", "Fmaj", 0.0),
        ("Amin", "Emin", 0.5),
        ("Cmaj", "Amin", 0.3),
        ("Amin", "Cmaj", 0.3),
        ("Cmaj", "Cmin", 0.2),
        ("Cmaj", "Emin", 0.0),
        ("Cmaj", None, 0.0),
    ],
)
def test_keys_score_as_in_mirex(asked: str, found: str | None, score: float) -> None:
    assert key_score(asked, found) == score


def test_every_key_has_one_of_each_relation() -> None:
    for key in KEYS:
        assert sorted(key_score(key, other) for other in KEYS) == [0.0] * 20 + [0.2, 0.3, 0.5, 1.0]


@pytest.mark.parametrize("wrong", ["maj", "Hmaj", "C##maj"])
def test_what_is_no_key(wrong: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        key_score("Cmaj", wrong)


def test_a_chord_on_every_beat_is_heard() -> None:
    rate = 22_050
    beat = np.arange(rate // 2) / rate
    chords = [(57, 60, 64, 69), (62, 65, 69, 74), (64, 68, 71, 76), (57, 60, 64, 69)]  # i, iv, V, i in A minor
    played = [
        sum(np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * beat) for pitch in chord) * np.exp(-4 * beat)
        for chord in chords
    ]
    found = hear(np.asarray(np.tile(np.concatenate(played), 6) / 4, dtype=np.float32), rate)
    assert key_score("Amin", found.key) == 1
    assert tempo_matches(120, found.tempo)
    assert matches(Hearing(120, "Cmaj"), found) == {"tempo": True, "key": False}


def test_stereo_and_silence() -> None:
    assert tempo_matches(100, hear(clicks(12, 100), 44_100).tempo)
    assert hear(np.zeros(44_100, np.float32), 44_100) == Hearing(None, None)


def test_figures_count_what_was_asked() -> None:
    asked = [Hearing(100, "Cmaj"), Hearing(100), Hearing(None, "Amin"), Hearing()]
    found = [Hearing(200, "Gmaj"), Hearing(101, "Dmin"), Hearing(90, "Amin"), Hearing(90, "Amin")]
    figures = hearing_figures(asked, found)
    assert figures == {"tempo.match": 0.5, "tempo.match.octaves": 1.0, "key.match": 0.5, "key.score": 0.75}
    assert hearing_figures([Hearing()], [Hearing(90, "Amin")]) == {}
