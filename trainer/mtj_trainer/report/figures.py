"""All the numbers of a job: merged from its stages, and laid out beside their baselines.

Invariant: ``figures.json`` is flat, sorted, and holds finite numbers only; the report shows the same numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mtj_trainer.evaluate.compare import DISTANCES
from mtj_trainer.storage import Storage

STAGES = ("prepare", "train", "evaluate")
"""The stages whose figures are reported; publishing measures nothing."""

KEY = "figures.json"

Figures = dict[str, float]


def merged(records: Iterable[Mapping[str, Any]]) -> Figures:
    """The figures of stage records; a later stage wins where two say the same name."""
    figures: Figures = {}
    for record in records:
        figures.update(record.get("figures", {}))
    return {name: value for name, value in sorted(figures.items()) if _is_finite(value)}


def stage_records(output: Storage) -> dict[str, dict[str, Any]]:
    """The record of each stage that is complete."""
    records = {}
    for stage in STAGES:
        try:
            records[stage] = json.loads(output.read(f"stages/{stage}.json"))
        except FileNotFoundError:
            continue
    return records


def figures_json(figures: Figures) -> bytes:
    """``figures.json``."""
    return (json.dumps(figures, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


@dataclass(frozen=True)
class Metric:
    """A figure that baselines have too.

    Attributes:
        name: as the model has it.
        label: what it is.
        unit: in which it is, and what it means.
        better: whether less or more of it is better.
        own: the part of the name that is ``heldout.`` for the model and falls away for a baseline.
    """

    name: str
    label: str
    unit: str
    better: Literal["lower", "higher"]
    own: str = ""

    def of(self, contestant: str) -> str:
        """The figure's name for a contestant's prefix, as ``baseline.ngram.``; empty is the model."""
        return contestant + self.name.removeprefix(self.own) if contestant else self.name


def _audio_metrics() -> Iterator[Metric]:
    """Of models of sound."""
    own = "reconstruction."
    yield Metric(f"{own}stft_distance", "Spectral distance", "multi-resolution STFT", "lower", own)
    yield Metric(f"{own}mel_distance", "Mel distance", "dB", "lower", own)
    yield Metric(f"{own}spectral_convergence", "Spectral convergence", "1 is silence", "lower", own)
    yield Metric(f"{own}log_spectral_distance", "Log-spectral distance", "dB", "lower", own)
    yield Metric(f"{own}snr", "Signal to noise", "dB", "higher", own)
    yield Metric(f"{own}si_sdr", "Signal to distortion", "dB, scale-invariant", "higher", own)
    for name, seen in EMBEDDERS.items():
        yield Metric(f"fad.{name}", "Fréchet audio distance", seen, "lower")
        yield Metric(f"kad.{name}", "Kernel audio distance", seen, "lower")
    yield Metric("divergence.spectrum", "Spectral divergence", "nats, to the music of the same text", "lower")
    yield Metric("divergence.chroma", "Harmonic divergence", "nats, to the music of the same text", "lower")
    yield Metric("tempo.match", "Tempo as asked", "share of clips, within 4 %", "higher")
    yield Metric("tempo.match.octaves", "Tempo as asked, or a multiple", "share of clips, within 4 %", "higher")
    yield Metric("key.match", "Key as asked", "share of clips, key estimated from the sound", "higher")
    yield Metric("key.score", "Key as asked", "MIREX's weighted score, 0 to 1", "higher")
    yield Metric("text.separation", "Effect of the text", "distance between texts over that within one", "higher")
    yield Metric("text.nearest", "Nearer to its own text's music", "share of comparisons; 0.5 is chance", "higher")
    yield Metric("clap.score", "Fit to the text", "CLAP's cosine, -1 to 1", "higher")
    yield Metric("copies.similarity.highest", "Likeness to training music", "highest correlation of 5 s", "lower")


EMBEDDERS = {"spectrogram": "spectrogram statistics", "clap": "CLAP", "encodec": "EnCodec"}
"""In what two sets of clips are compared, by the embedder's name."""

METRICS = (
    Metric("heldout.nll", "Held-out loss", "nats a token", "lower", "heldout."),
    Metric("heldout.nll_per_note", "Held-out loss", "nats a note", "lower", "heldout."),
    Metric("heldout.nll_per_beat", "Held-out loss", "nats a quarter note", "lower", "heldout."),
    Metric("heldout.accuracy", "Held-out accuracy", "share of tokens guessed right", "higher", "heldout."),
    Metric("request.key.match", "Key as asked", "share of pieces, key estimated from the notes", "higher"),
    Metric("request.key.fit", "Fit to the key asked", "correlation with its profile, -1 to 1", "higher"),
    Metric("request.metre.match", "Metre as asked", "share of pieces", "higher"),
    Metric("request.tempo.match", "Tempo as asked", "share of pieces, within 15 %", "higher"),
    Metric("request.instruments.match", "Instruments as asked", "share of pieces", "higher"),
    *(
        Metric(name, f"Distance: {text.partition(',')[0]}", text.partition(", ")[2], "lower")
        for name, text in DISTANCES.items()
    ),
    *_audio_metrics(),
)

CONTESTANTS = {
    "": "Model",
    "baseline.pretrained.": "Before fine-tuning",
    "baseline.ngram.": "5-gram",
    "baseline.griffin_lim.": "Griffin-Lim",
    "baseline.untrained.": "Untrained",
    "ceiling.": "Codec's ceiling",
    "floor.": "Training music",
}
"""Prefixes of figures and what the report calls them. The floor is no rival but what real music scores, and
the ceiling what held-out music scores once it has been through the codec."""

NO_RIVALS = frozenset({"floor.", "ceiling."})


@dataclass(frozen=True)
class Row:
    """A line of the table of figures: a value, or ``None``, for each column, and which columns have the best."""

    metric: Metric
    values: list[float | None]
    best: list[bool]


def table(figures: Figures) -> tuple[list[str], list[Row]]:
    """Column names and rows, without what has no value at all."""
    prefixes = [p for p in CONTESTANTS if any(metric.of(p) in figures for metric in METRICS)]
    rows = []
    for metric in METRICS:
        values = [figures.get(metric.of(prefix)) for prefix in prefixes]
        if figures.get(metric.name) is None:
            continue
        rivals = [value for value, prefix in zip(values, prefixes, strict=True) if prefix not in NO_RIVALS]
        known = [value for value in rivals if value is not None]
        top = min(known) if metric.better == "lower" else max(known)
        is_contest = len(known) > 1 and min(known) != max(known)
        best = [
            is_contest and value == top and prefix not in NO_RIVALS
            for value, prefix in zip(values, prefixes, strict=True)
        ]
        rows.append(Row(metric, values, best))
    return [CONTESTANTS[prefix] for prefix in prefixes], rows


def others(figures: Figures) -> Figures:
    """The figures that the table does not show."""
    shown = {metric.of(prefix) for metric in METRICS for prefix in CONTESTANTS}
    return {name: value for name, value in figures.items() if name not in shown}


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
