"""Each rule over several fields refuses what it is for, in Python; a real API server holds the CEL to the same."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from mtj_api import MusicTrainingJob, walk
from mtj_api.spec.base import URL_RULE, Rule, SpecModel
from mtj_api.spec.job import JobSpec
from support.jobs import document

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "self.minSeconds <= self.maxSeconds": (
        {"dataset": {"source": "m", "audio": {"segment": {"minSeconds": 31.0}}}},
        {"dataset": {"source": "m", "audio": {"segment": {"minSeconds": 30.0}}}},
    ),
    "self.overlapSeconds < self.minSeconds": (
        {"dataset": {"source": "m", "audio": {"segment": {"overlapSeconds": 10.0}}}},
        {"dataset": {"source": "m", "audio": {"segment": {"overlapSeconds": 9.9}}}},
    ),
    "self.train + self.validation + self.test": (
        {"dataset": {"source": "m", "split": {"train": 0.81}}},
        {"dataset": {"source": "m", "split": {"train": 0.7, "validation": 0.2}}},
    ),
    "has(self.source) != has(self.importer)": (
        {"dataset": {"source": "m", "importer": "bach-chorales"}},
        {"dataset": {"importer": "bach-chorales"}},
    ),
    "self.width % (2 * self.heads) == 0": (
        {"model": {"architecture": {"width": 198, "heads": 6}}},
        {"model": {"architecture": {"width": 204, "heads": 6}}},
    ),
    "!(has(self.pretrained) && has(self.architecture))": (
        {"model": {"pretrained": "m", "architecture": {}}},
        {"model": {"pretrained": "m"}},
    ),
    "!has(self.batch.size)": (
        {"model": {}, "training": {"batch": {"size": 6, "accumulation": 2}, "processesPerNode": 2}},
        {"model": {}, "training": {"batch": {"size": 8, "accumulation": 2}, "processesPerNode": 2}},
    ),
    "!has(self.schedule.warmupSteps)": (
        {"model": {}, "training": {"steps": 5, "schedule": {"warmupSteps": 5}}},
        {"model": {}, "training": {"steps": 5, "schedule": {"warmupSteps": 4}}},
    ),
    "has(self.model) || !has(self.training)": ({"training": {}}, {"training": {}, "model": {}}),
    "!has(self.training) || !has(self.training.strategy)": (
        {"model": {"pretrained": "m"}, "training": {"strategy": "full"}},
        {"model": {"pretrained": "m"}, "training": {"strategy": "finetune"}},
    ),
    "!has(self.model) || !has(self.dataset.modalities)": (
        {"model": {}, "dataset": {"source": "m", "modalities": ["audio"]}},
        {"model": {}, "dataset": {"source": "m", "modalities": ["audio", "midi"]}},
    ),
    "!has(self.model) || !has(self.evaluation.requests)": (
        {"model": {"conditioning": ["key"]}, "evaluation": {"requests": [{"key": "Cmaj"}, {"tempo": 90}]}},
        {"model": {"conditioning": ["key"]}, "evaluation": {"requests": [{"key": "Cmaj"}, {}]}},
    ),
}
"""What each rule begins with: a spec that it alone refuses, and one that it lets pass."""


def all_rules() -> list[Rule]:
    models: set[type[BaseModel]] = {JobSpec}
    models.update(field.model for field in walk.fields_of(JobSpec) if field.model is not None)
    return [rule for model in models if issubclass(model, SpecModel) for rule in model.RULES]


@pytest.mark.parametrize(("beginning", "wrong", "right"), [(k, *v) for k, v in CASES.items()], ids=CASES)
def test_a_rule_refuses_what_it_is_for(beginning: str, wrong: dict[str, Any], right: dict[str, Any]) -> None:
    (rule,) = [rule for rule in all_rules() if rule.cel.startswith(beginning)]
    MusicTrainingJob.model_validate(document(**right))
    with pytest.raises(ValidationError) as refused:
        MusicTrainingJob.model_validate(document(**wrong))
    assert [error["msg"] for error in refused.value.errors()] == [rule.message]


def test_every_rule_has_a_case() -> None:
    uncovered = [rule.cel for rule in all_rules() if not rule.cel.startswith(tuple(CASES))]
    assert uncovered == []


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("s3://bucket", True),
        ("s3://bucket/a/b", True),
        ("s3://", False),
        ("s3:///a", False),
        ("s3:/bucket", False),
        ("file:///a/b", True),
        ("file://host/a", False),
        ("file:/a", False),
        ("gs://bucket", False),
        ("https://example.org/a", False),
        ("music", True),
        ("./a b/ä", True),
        ("/a/b:c", True),
        ("~/music", True),
        ("c:/music", False),
    ],
)
def test_a_place_is_on_s3_or_in_a_folder(url: str, known: bool) -> None:
    assert URL_RULE.holds(url) is known
