"""``samples/`` of an audio model: each sample's recordings as WAV and MP3, and ``samples.json`` with what they are.

An entry of kind ``generated`` or ``reconstruction`` has ``takes``: recordings to hear beside each other, as an
original, its reconstruction and its yardstick, or one text before and after training.
Invariant: ``samples.json`` is written last; what it names is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mtj_trainer.evaluate.audio.copies import Likeness
from mtj_trainer.evaluate.audio.hearing import Hearing, matches
from mtj_trainer.evaluate.samples import FOLDER, INDEX
from mtj_trainer.evaluate.sound import measure, to_mp3, to_wav
from mtj_trainer.storage import Storage


@dataclass(frozen=True)
class Take:
    """A recording of a sample.

    Attributes:
        name: part of its files' names: ``original``, ``reconstruction``, ``griffin-lim``, ``before``, ``after``.
        label: what a person calls it.
        audio: (n,) or (n, channels) samples in -1 to 1.
        figures: measured of it, such as those of ``reconstruction_measures``.
    """

    name: str
    label: str
    audio: npt.NDArray[np.float32]
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class AudioSample:
    """What a listener is given.

    Attributes:
        name: the stem of its files.
        title: what a person calls it.
        takes: its recordings, in the order in which they are heard.
        judged: name of the take that the model made.
        track: the held-out piece that it was taken from, or whose text it plays.
        text: that the model was told.
        asked, found: tempo and key.
        likeness: the training music that it is most like.
    """

    name: str
    kind: Literal["generated", "reconstruction"]
    title: str
    takes: Sequence[Take]
    judged: str
    track: str | None = None
    text: str | None = None
    asked: Hearing = field(default_factory=Hearing)
    found: Hearing = field(default_factory=Hearing)
    likeness: Likeness | None = None


def write_audio_samples(
    output: Storage, samples: Sequence[AudioSample], rate: int, done: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Write samples of ``rate`` samples a second, in place of any that were there.

    Returns:
        Figures: ``sample.NAME.seconds``, ``.peak``, ``.rms`` of each judged take, and ``samples.audible``, the share
        of them that are neither silent nor clipped.
    """
    output.delete_tree(FOLDER)
    entries = []
    figures: dict[str, float] = {}
    audible = []
    for sample in samples:
        takes = [_write_take(output, sample, take, rate) for take in sample.takes]
        entries.append(_entry(sample, takes))
        sound = next(take["sound"] for take in takes if take["name"] == sample.judged)
        figures |= {f"sample.{sample.name}.{what}": sound[what] for what in ("seconds", "peak", "rms")}
        audible.append(sound["not_silent"] and sound["not_clipped"])
        done()
    if audible:
        figures["samples.audible"] = float(np.mean(audible))
    output.write(INDEX, (json.dumps(entries, indent=2, ensure_ascii=False) + "\n").encode())
    return figures


def _write_take(output: Storage, sample: AudioSample, take: Take, rate: int) -> dict[str, Any]:
    stem = f"{FOLDER}/{sample.name}-{take.name}"
    sound = measure(take.audio, rate)
    output.write(f"{stem}.wav", to_wav(take.audio, rate))
    output.write(f"{stem}.mp3", to_mp3(take.audio, rate))
    return {
        "name": take.name,
        "label": take.label,
        "files": {"wav": f"{stem}.wav", "mp3": f"{stem}.mp3"},
        "sound": {
            "seconds": sound.seconds,
            "peak": sound.peak,
            "rms": sound.rms,
            "not_silent": not sound.is_silent,
            "not_clipped": not sound.is_clipped,
        },
        "figures": {name: float(value) for name, value in take.figures.items() if np.isfinite(value)},
    }


def _entry(sample: AudioSample, takes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": sample.name,
        "kind": sample.kind,
        "title": sample.title,
        "track": sample.track,
        "text": sample.text,
        "asked": asdict(sample.asked),
        "found": asdict(sample.found),
        "matches": matches(sample.asked, sample.found),
        "likeness": asdict(sample.likeness) if sample.likeness else None,
        "judged": sample.judged,
        "seconds": max(take["sound"]["seconds"] for take in takes),
        "takes": takes,
    }
