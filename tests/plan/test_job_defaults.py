"""What a job leaves out of its scheduling comes from the operator; what it says goes before."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_api import MusicTrainingJob
from mtj_api.spec import Scheduling
from mtj_operator.plan.job_defaults import FIELDS, with_defaults
from support.jobs import document

Part = dict[str, Any]

CLAIM = {"persistentVolumeClaim": {"claimName": "music"}}

# by name: what is said -- by the operator, by the job -- and what that comes to
CASES: dict[str, tuple[Part, Part, Part]] = {
    "nothing": ({}, {}, {}),
    "a selector": ({"nodeSelector": {"pool": "gpu"}}, {}, {"nodeSelector": {"pool": "gpu"}}),
    "a selector of the same key": (
        {"nodeSelector": {"pool": "gpu", "zone": "a"}},
        {"nodeSelector": {"pool": "cpu"}},
        {"nodeSelector": {"pool": "cpu", "zone": "a"}},
    ),
    "tolerations": (
        {"tolerations": [{"key": "gpu", "operator": "Exists"}, {"key": "spot", "operator": "Exists"}]},
        {"tolerations": [{"key": "spot", "operator": "Exists"}]},
        {"tolerations": [{"key": "spot", "operator": "Exists"}, {"key": "gpu", "operator": "Exists"}]},
    ),
    "a priority": ({"priorityClassName": "low"}, {}, {"priorityClassName": "low"}),
    "another priority": (
        {"priorityClassName": "low"},
        {"priorityClassName": "high"},
        {"priorityClassName": "high"},
    ),
    "a queue": ({"queue": "music"}, {}, {"queue": "music"}),
    "memory": (
        {"resources": {"train": {"cpu": "4", "memory": "16Gi"}}},
        {"resources": {"train": {"memory": "8Gi", "gpus": 1}}},
        {"resources": {"train": {"cpu": "4", "memory": "8Gi", "gpus": 1}}},
    ),
    "labels": (
        {"podTemplate": {"labels": {"team": "a", "cost": "1"}}},
        {"podTemplate": {"labels": {"team": "b"}}},
        {"podTemplate": {"labels": {"team": "b", "cost": "1"}}},
    ),
    "an account": (
        {"podTemplate": {"serviceAccountName": "trainer"}},
        {},
        {"podTemplate": {"serviceAccountName": "trainer"}},
    ),
    "secrets of registries": (
        {"podTemplate": {"imagePullSecrets": ["registry"]}},
        {"podTemplate": {"imagePullSecrets": ["own", "registry"]}},
        {"podTemplate": {"imagePullSecrets": ["own", "registry"]}},
    ),
    "variables": (
        {"podTemplate": {"env": [{"name": "HF_HOME", "value": "/a"}, {"name": "NCCL_DEBUG", "value": "INFO"}]}},
        {"podTemplate": {"env": [{"name": "HF_HOME", "value": "/b"}]}},
        {"podTemplate": {"env": [{"name": "HF_HOME", "value": "/b"}, {"name": "NCCL_DEBUG", "value": "INFO"}]}},
    ),
    "volumes": (
        {
            "podTemplate": {
                "volumes": [
                    {"name": "music", "mountPath": "/all", **CLAIM},
                    {"name": "more", "mountPath": "/music", **CLAIM},
                    {"name": "hub", "mountPath": "/hub", **CLAIM},
                ]
            }
        },
        {"podTemplate": {"volumes": [{"name": "music", "mountPath": "/music", **CLAIM}]}},
        {
            "podTemplate": {
                "volumes": [
                    {"name": "music", "mountPath": "/music", **CLAIM},
                    {"name": "hub", "mountPath": "/hub", **CLAIM},
                ]
            }
        },
    ),
}


@pytest.mark.parametrize(("default", "own", "whole"), CASES.values(), ids=CASES)
def test_what_a_job_leaves_out_is_filled_in(default: Part, own: Part, whole: Part) -> None:
    found = with_defaults(job(own), Scheduling.model_validate(default))
    assert found == job(whole)


@pytest.mark.parametrize(("default", "own", "whole"), CASES.values(), ids=CASES)
def test_twice_is_as_once(default: Part, own: Part, whole: Part) -> None:
    defaults = Scheduling.model_validate(default)
    assert with_defaults(job(whole), defaults) == job(whole)


def test_only_where_pods_run_has_defaults() -> None:
    assert set(Scheduling.model_fields) - set(FIELDS) == {
        "suspend",
        "image",  # and
        "storage_secret",  # are settings of their own
        "gpu_resource",
        "deadline_seconds",
        "ttl_seconds_after_finished",
        "retries",
        "idle_gpus",
    }


def job(scheduling: Part) -> MusicTrainingJob:
    return MusicTrainingJob.model_validate(document(scheduling=scheduling))
