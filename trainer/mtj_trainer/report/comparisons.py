"""Recordings to hear beside each other: original and reconstruction, before and after training, text and sound."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import soundfile

from mtj_trainer.evaluate.samples import INDEX
from mtj_trainer.report.numbers import short
from mtj_trainer.report.players import Condition, Player, data_uri
from mtj_trainer.report.spectrogram import WIDTH, spectrogram
from mtj_trainer.storage import Storage

SHOWN_FIGURES = {
    "si_sdr": ("SI-SDR", "dB"),
    "mel_distance": ("mel distance", "dB"),
    "stft_distance": ("STFT distance", ""),
}
"""What is said of a take under its picture, with its name for people and its unit; the rest is in ``samples.json``."""

NARROW = 360
"""Width of each picture where three or more are beside each other."""


@dataclass(frozen=True)
class Comparison:
    """A sample and its takes.

    Attributes:
        kind: what the model did.
        text: that it was told, or nothing.
        conditions: tempo and key, asked and found.
        takes: a player each, whose pictures last equally long.
    """

    title: str
    kind: str
    takes: list[Player]
    text: str = ""
    conditions: list[Condition] = field(default_factory=list)
    note: str = ""


def comparisons(output: Storage) -> list[Comparison]:
    """A comparison for each ``generated`` or ``reconstruction`` entry of ``samples.json``."""
    try:
        entries = json.loads(output.read(INDEX))
    except FileNotFoundError:
        return []
    return [_comparison(output, entry) for entry in entries if "takes" in entry]


def _comparison(output: Storage, entry: dict[str, Any]) -> Comparison:
    width = NARROW if len(entry["takes"]) > 2 else WIDTH
    return Comparison(
        title=entry["title"],
        kind="Played from a text" if entry["kind"] == "generated" else "Coded and decoded",
        takes=[_take(output, entry, take, width) for take in entry["takes"]],
        text=entry["text"] or "",
        conditions=list(_conditions(entry)),
        note=_likeness(entry["likeness"]),
    )


def _take(output: Storage, entry: dict[str, Any], take: dict[str, Any], width: int) -> Player:
    audio, rate = soundfile.read(io.BytesIO(output.read(take["files"]["wav"])), dtype="float32")
    said = [
        f"{name} {short(take['figures'][figure])} {unit}".strip()
        for figure, (name, unit) in SHOWN_FIGURES.items()
        if figure in take["figures"]
    ]
    return Player(
        title=take["label"],
        kind=entry["kind"],
        picture=spectrogram(audio, rate, f"{entry['title']}: {take['label']}", seconds=entry["seconds"], width=width),
        seconds=entry["seconds"],
        mp3=data_uri("audio/mpeg", output.read(take["files"]["mp3"])),
        note=", ".join(said),
    )


def _conditions(entry: dict[str, Any]) -> Iterator[Condition]:
    for name, value in entry["asked"].items():
        if value is not None:
            yield Condition(name.capitalize(), _text(value), _text(entry["found"][name]), entry["matches"].get(name))


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:.0f} bpm"


def _likeness(found: dict[str, Any] | None) -> str:
    if found is None or found["training"] is None:
        return ""
    return (
        f"Most like training music from {found['at']:.0f} s: similarity {found['similarity']:.2f}, where 1 is a copy."
    )
