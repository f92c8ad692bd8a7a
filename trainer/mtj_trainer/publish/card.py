"""The model card: what the model is, what made it, how good it is, and how to use it.

Invariant: every number in it is one of the job's figures; the code in it runs as it stands.
Source of its sections: Mitchell et al., Model Cards for Model Reporting (2019).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from mtj_api import MusicTrainingJob
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.split import SIDES, Side
from mtj_trainer.publish.markdown import code, command, fence, plain
from mtj_trainer.recipe import recipe
from mtj_trainer.report.figures import METRICS, Figures, Metric, table
from mtj_trainer.report.numbers import duration, short
from mtj_trainer.tokens import Conditions

LICENCE_FIELDS = ("license", "licence", "rights", "copyright")
"""Fields of a source's own metadata that say what may be done with a track."""


TEMPLATES = {
    "symbolic": "symbolic.md.j2",
    "codec": "codec.md.j2",
    "musicgen": "musicgen.md.j2",
    "audiogen": "musicgen.md.j2",
}
TAGS = {
    "symbolic": ("symbolic-music", "midi", "symbolic"),
    "codec": ("audio", "neural-codec", "dac"),
    "musicgen": ("audio", "text-to-audio", "musicgen"),
    "audiogen": ("audio", "text-to-audio", "audiogen"),
}
TASKS = {
    "symbolic": ("symbolic-music-generation", "midi"),
    "codec": ("audio-to-audio", "audio"),
    "musicgen": ("text-to-audio", "audio"),
    "audiogen": ("text-to-audio", "audio"),
}
"""What hubs call what a model does, and what it is measured on."""

_AUDIO_HEADLINE = (("nll", "heldout.nll"), ("frechet-audio-distance", "fad.spectrogram"))
HEADLINES = {
    "symbolic": (("nll", "heldout.nll"), ("accuracy", "heldout.accuracy")),
    "codec": (("multi-resolution-stft", "reconstruction.stft_distance"), ("frechet-audio-distance", "fad.spectrogram")),
    "musicgen": _AUDIO_HEADLINE,
    "audiogen": _AUDIO_HEADLINE,
}


@dataclass(frozen=True)
class ModelFacts:
    """What the weights themselves tell.

    Attributes:
        parameters: how many numbers they are.
        files: their names.
        config: ``config.json``; empty where there is none.
        tokenizer: ``tokenizer.json``; likewise.
    """

    parameters: int
    files: tuple[str, ...]
    config: Mapping[str, Any]
    tokenizer: Mapping[str, Any]


@dataclass(frozen=True)
class Split:
    """How much music a side of the data has."""

    side: str
    tracks: int
    midi: str
    tokens: int
    audio: str
    segments: int


def model_card(job: MusicTrainingJob, facts: ModelFacts, dataset: PreparedDataset, figures: Figures) -> str:
    """The card as Markdown, with the front matter that model hubs read."""
    model, training = job.spec.model, job.spec.training
    assert model is not None
    columns, rows = table(figures)
    tracks = list(dataset.tracks.values())
    job_text = recipe(job)
    return _template(TEMPLATES[model.family]).render(
        name=job.metadata.name,
        front_matter=_front_matter(job, figures),
        facts=facts,
        model=model,
        training=training,
        example=_example(job),
        prompt=next(iter(job.spec.evaluation.prompts), "a baroque chorale in G major, 96 bpm"),
        columns=columns,
        rows=[(row, ["" if value is None else short(value) for value in row.values]) for row in rows],
        splits=[_split(dataset, side) for side in SIDES],
        sources=_counted(track.source or str(job.spec.dataset.importer or "not said") for track in tracks),
        licences=_counted(_licence(track.extra) for track in tracks),
        quarantined=len(dataset.manifest["quarantined"]),
        fence=fence(job_text),
        job=job_text,
        figures=figures,
        short=short,
        duration=duration,
    )


def _split(dataset: PreparedDataset, side: Side) -> Split:
    manifest = dataset.manifest
    return Split(
        side=side,
        tracks=manifest["tracks"][side],
        midi=duration(manifest["hours"]["midi"][side] * 3600),
        tokens=manifest["tokens"][side],
        audio=duration(manifest["hours"]["audio"][side] * 3600),
        segments=len(dataset.samples("audio", side)),
    )


def _front_matter(job: MusicTrainingJob, figures: Figures) -> str:
    assert job.spec.model is not None
    values: dict[str, Any] = {
        "library_name": "music-training-job",
        "tags": ["music", *TAGS[job.spec.model.family]],
    }
    if job.spec.model.pretrained is not None:
        values["base_model"] = job.spec.model.pretrained
    metrics = [
        {"type": name, "name": f"{metric.label}, {metric.unit}", "value": round(figures[metric.name], 4)}
        for name, metric in _headline(job.spec.model.family)
        if metric.name in figures
    ]
    if metrics:
        task, kind = TASKS[job.spec.model.family]
        result = {
            "task": {"type": task},
            "dataset": {"name": job.spec.dataset.importer or "own", "type": kind, "split": "test"},
            "metrics": metrics,
        }
        values["model-index"] = [{"name": job.metadata.name, "results": [result]}]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _headline(family: str) -> Iterator[tuple[str, Metric]]:
    """The figures that a hub shows, with the hub's names for them."""
    by_name = {metric.name: metric for metric in METRICS}
    for kind, name in HEADLINES[family]:
        yield kind, by_name[name]


def _example(job: MusicTrainingJob) -> str:
    """The arguments of a request that this model understands."""
    assert job.spec.model is not None
    typical = Conditions(key="Gmaj", metre="4/4", tempo=96.0).only(frozenset[str](job.spec.model.conditioning))
    return ", ".join(f"{name}={value!r}" for name, value in vars(typical).items() if value is not None)


def _licence(extra: Mapping[str, str]) -> str:
    said = {name.lower(): value for name, value in extra.items()}
    return next((said[name] for name in LICENCE_FIELDS if said.get(name)), "not said")


def _counted(values: Any) -> list[tuple[str, int]]:
    return Counter(values).most_common()


@cache
def _template(name: str) -> Template:
    environment = Environment(  # noqa: S701 - Markdown, not HTML
        loader=PackageLoader("mtj_trainer.publish"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code, "command": command, "plain": plain}
    return environment.get_template(name)
