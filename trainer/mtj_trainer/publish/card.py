"""The model card: what the model is, what made it, how good it is, and how to use it.

Invariant: every number in it is one of the job's figures; the code in it runs as it stands.
Source of its sections: Mitchell et al., Model Cards for Model Reporting (2019).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from mtj_api import MusicTrainingJob, resolved_json
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.split import SIDES
from mtj_trainer.report.figures import Figures, table
from mtj_trainer.report.numbers import duration, short
from mtj_trainer.tokens import Conditions

LICENCE_FIELDS = ("license", "licence", "rights", "copyright")
"""Fields of a source's own metadata that say what may be done with a track."""


@dataclass(frozen=True)
class ModelFacts:
    """What the weights themselves tell.

    Attributes:
        parameters: how many numbers they are.
        config: ``config.json``.
        tokenizer: ``tokenizer.json``.
    """

    parameters: int
    config: Mapping[str, Any]
    tokenizer: Mapping[str, Any]


def model_card(job: MusicTrainingJob, facts: ModelFacts, dataset: PreparedDataset, figures: Figures) -> str:
    """The card as Markdown, with the front matter that model hubs read."""
    model, training = job.spec.model, job.spec.training
    assert model is not None
    columns, rows = table(figures)
    tracks = list(dataset.tracks.values())
    hours = dataset.manifest["hours"]["midi"]
    return _template().render(
        name=job.metadata.name,
        front_matter=_front_matter(job, figures),
        facts=facts,
        model=model,
        training=training,
        example=_example(job),
        columns=columns,
        rows=[(row, ["" if value is None else short(value) for value in row.values]) for row in rows],
        splits=[
            (side, dataset.manifest["tracks"][side], duration(hours[side] * 3600), dataset.manifest["tokens"][side])
            for side in SIDES
        ],
        sources=_counted(track.source or str(job.spec.dataset.importer or "not said") for track in tracks),
        licences=_counted(_licence(track.extra) for track in tracks),
        quarantined=len(dataset.manifest["quarantined"]),
        job=yaml.safe_dump(json.loads(resolved_json(job)), sort_keys=False, allow_unicode=True),
        figures=figures,
        short=short,
        duration=duration,
    )


def _front_matter(job: MusicTrainingJob, figures: Figures) -> str:
    assert job.spec.model is not None
    values: dict[str, Any] = {
        "library_name": "music-training-job",
        "tags": ["music", "symbolic-music", "midi", job.spec.model.family],
    }
    if job.spec.model.pretrained is not None:
        values["base_model"] = job.spec.model.pretrained
    if "heldout.nll" in figures:
        metrics = [
            {"type": "nll", "name": "Held-out loss, nats a token", "value": round(figures["heldout.nll"], 4)},
            {"type": "accuracy", "name": "Held-out accuracy", "value": round(figures["heldout.accuracy"], 4)},
        ]
        result = {
            "task": {"type": "symbolic-music-generation"},
            "dataset": {"name": job.spec.dataset.importer or "own", "type": "midi", "split": "test"},
            "metrics": metrics,
        }
        values["model-index"] = [{"name": job.metadata.name, "results": [result]}]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _example(job: MusicTrainingJob) -> str:
    """The arguments of a request that this model understands."""
    assert job.spec.model is not None
    typical = Conditions(key="Gmaj", metre="4/4", tempo=96.0).only(frozenset(job.spec.model.conditioning))
    return ", ".join(f"{name}={value!r}" for name, value in vars(typical).items() if value is not None)


def _licence(extra: Mapping[str, str]) -> str:
    said = {name.lower(): value for name, value in extra.items()}
    return next((said[name] for name in LICENCE_FIELDS if said.get(name)), "not said")


def _counted(values: Any) -> list[tuple[str, int]]:
    return Counter(values).most_common()


@cache
def _template() -> Template:
    environment = Environment(  # noqa: S701 - Markdown, not HTML
        loader=PackageLoader("mtj_trainer.publish"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("card.md.j2")
