"""The data part of the report: how much music there is, how it is divided, and what was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from mtj_trainer.music import KEYS
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.split import SIDES
from mtj_trainer.report.charts import Bar, bar_chart, histogram
from mtj_trainer.report.numbers import duration

MOST_COMMON = 8
"""Values of a field that get a bar of their own."""


@dataclass(frozen=True)
class SplitRow:
    """A side of the split, as text ready to show."""

    side: str
    tracks: str
    midi: str
    tokens: str
    audio: str
    segments: str


@dataclass(frozen=True)
class DataPart:
    """What the page shows of the data."""

    splits: list[SplitRow]
    has_audio: bool
    has_midi: bool
    charts: list[Markup]
    quarantined: list[dict[str, str]]
    reasons: list[tuple[str, int]]
    warnings: list[str]
    files: int


def data_part(dataset: PreparedDataset) -> DataPart:
    """Describe a prepared data set."""
    manifest = dataset.manifest
    quarantined: list[dict[str, str]] = manifest["quarantined"]
    hours = manifest["hours"]
    segments = {side: dataset.samples("audio", side) for side in SIDES}
    pieces = {side: dataset.samples("midi", side) for side in SIDES}
    rows = [
        SplitRow(
            side=side,
            tracks=f"{manifest['tracks'][side]:,}",
            midi=duration(hours["midi"][side] * 3600),
            tokens=f"{manifest['tokens'][side]:,}",
            audio=duration(hours["audio"][side] * 3600),
            segments=f"{len(segments[side]):,}",
        )
        for side in SIDES
    ]
    seconds = [sample.length for side in SIDES for sample in segments[side]]
    tokens = [sample.length for side in SIDES for sample in pieces[side]]
    charts = [
        histogram(seconds, title="Audio segments, by length", x_label="seconds"),
        histogram(tokens, title="MIDI pieces, by length", x_label="tokens"),
        _keys(dataset),
        _common(dataset, "metre", "Tracks, by metre"),
        histogram(
            [t.tempo for t in dataset.tracks.values() if t.tempo], title="Tracks, by tempo", x_label="beats a minute"
        ),
        _common(dataset, "composer", "Tracks, by composer"),
    ]
    return DataPart(
        splits=rows,
        has_audio=bool(seconds),
        has_midi=bool(tokens),
        charts=[chart for chart in charts if chart],
        quarantined=quarantined,
        reasons=Counter(item["reason"] for item in quarantined).most_common(),
        warnings=list(manifest.get("warnings", [])),
        files=int(manifest["files"]),
    )


def _keys(dataset: PreparedDataset) -> Markup:
    counts = Counter(track.key for track in dataset.tracks.values() if track.key)
    if len(counts) < 2:
        return Markup("")
    order = {key: place for place, key in enumerate(KEYS)}
    common = sorted(counts.most_common(MOST_COMMON), key=lambda item: (-item[1], order.get(item[0], 99)))
    return _counts(common, "Tracks, by key")


def _common(dataset: PreparedDataset, field: str, title: str) -> Markup:
    values: Counter[Any] = Counter(getattr(track, field) for track in dataset.tracks.values())
    values.pop(None, None)
    return _counts(values.most_common(MOST_COMMON), title) if len(values) > 1 else Markup("")


def _counts(items: list[tuple[str, int]], title: str) -> Markup:
    bars = [Bar(str(name)[:24], count, "accent") for name, count in items]
    return bar_chart(bars, title=title, text=lambda value: f"{value:,.0f}")
