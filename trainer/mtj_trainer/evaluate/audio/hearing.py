"""Tempo and key as they are heard in a clip, beside what was asked for or what its track is known to have.

Invariant: a score lies in 0 to 1, and is 1 for exactly what was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtj_trainer.prepare.audio.analysis import Analysis

TEMPO_TOLERANCE = 0.04
"""Part of the tempo asked for (Gouyon et al., An experimental comparison of audio tempo induction, 2006)."""

OCTAVES = (1.0, 2.0, 3.0, 1 / 2, 1 / 3)
"""Multiples of a tempo at which its music can be tapped as well (the same source's accuracy 2)."""

_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "b": -1}


@dataclass(frozen=True)
class Hearing:
    """What is asked for or heard: ``tempo`` in beats a minute, ``key`` as ``F#min``; ``None`` for neither."""

    tempo: float | None = None
    key: str | None = None


def hear(audio: npt.NDArray[np.float32], rate: int) -> Hearing:
    """Tempo and key of (n,) or (n, channels) samples, estimated as in preparation."""
    analysis = Analysis(audio.reshape(len(audio), -1), rate)
    return Hearing(analysis.rhythm.tempo, analysis.key)


def tempo_matches(asked: float, found: float | None, *, octaves: bool = True) -> bool:
    """Whether a tempo is the one asked for, within 4 %; or, with ``octaves``, a double, triple, half or third of it."""
    if found is None:
        return False
    return any(
        abs(found - asked * factor) <= TEMPO_TOLERANCE * asked * factor for factor in OCTAVES[: 5 if octaves else 1]
    )


def key_score(asked: str, found: str | None) -> float:
    """MIREX's weighted score of a key, as mir_eval counts it.

    Returns:
        1 for the key, 0.5 for a fifth above it in the same mode, 0.3 for the relative and 0.2 for the parallel key,
        else 0.
    """
    if found is None:
        return 0.0
    (tonic, mode), (found_tonic, found_mode) = _parsed(asked), _parsed(found)
    above = (found_tonic - tonic) % 12
    if mode == found_mode:
        return {0: 1.0, 7: 0.5}.get(above, 0.0)
    return {0: 0.2, 9 if mode == "maj" else 3: 0.3}.get(above, 0.0)


def matches(asked: Hearing, found: Hearing) -> dict[str, bool]:
    """For what was asked, whether it is heard."""
    result = {}
    if asked.tempo is not None:
        result["tempo"] = tempo_matches(asked.tempo, found.tempo)
    if asked.key is not None:
        result["key"] = key_score(asked.key, found.key) == 1.0
    return result


def hearing_figures(asked: Sequence[Hearing], found: Sequence[Hearing]) -> dict[str, float]:
    """Figures of pairs, over those of which the thing was asked.

    Returns:
        ``tempo.match``: share within 4 %. ``tempo.match.octaves``: the same for multiples of it too. ``key.match``:
        share of exact keys. ``key.score``: mean of ``key_score``. None of those that nobody asked for.
    """
    tempi = [(want.tempo, heard.tempo) for want, heard in zip(asked, found, strict=True) if want.tempo is not None]
    keys = [(want.key, heard.key) for want, heard in zip(asked, found, strict=True) if want.key is not None]
    figures = {}
    if tempi:
        figures["tempo.match"] = float(np.mean([tempo_matches(*pair, octaves=False) for pair in tempi]))
        figures["tempo.match.octaves"] = float(np.mean([tempo_matches(*pair) for pair in tempi]))
    if keys:
        scores = np.array([key_score(*pair) for pair in keys])
        figures["key.match"] = float(np.mean(scores == 1.0))
        figures["key.score"] = float(scores.mean())
    return figures


def _parsed(key: str) -> tuple[int, str]:
    """Pitch class of the tonic, and the mode, of a name such as ``Bbmin``.

    Raises:
        ValueError: it is none.
    """
    tonic, mode = key[:-3], key[-3:]
    if mode not in ("maj", "min") or tonic[:1] not in _SEMITONES or tonic[1:] not in _ACCIDENTALS:
        raise ValueError(f"{key!r} is no key; write one as Cmaj, F#min or Bbmaj")
    return (_SEMITONES[tonic[0]] + _ACCIDENTALS[tonic[1:]]) % 12, mode
