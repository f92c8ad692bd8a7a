"""An operator of another version, or with other settings, takes over: what runs goes on as it was made."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mtj_api.spec import Scheduling
from mtj_operator.plan.story import decide
from support.stories import SETTINGS, Story, play, spec

AFTER = replace(
    SETTINGS,
    trainer_image="registry.example/trainer:2",
    storage_secret="other",
    python="python4",
    job_defaults=Scheduling.model_validate(
        {"nodeSelector": {"pool": "new"}, "podTemplate": {"labels": {"team": "new"}, "serviceAccountName": "new"}}
    ),
)


@pytest.mark.parametrize("seconds", range(0, 130, 10))
def test_no_attempt_that_is_there_is_made_anew_or_deleted(seconds: int) -> None:
    cluster = play(Story(seconds=seconds))
    before, after = (decide(cluster.observe(), settings, cluster.now) for settings in (SETTINGS, AFTER))
    assert after.deletions == before.deletions
    assert after.status == before.status
    assert not {child.object["metadata"]["name"] for child in after.children} & set(cluster.jobs)


@pytest.mark.parametrize("seconds", range(0, 20, 2))
def test_a_job_goes_on_while_the_definition_is_newer_than_the_operator(seconds: int) -> None:
    cluster = play(Story(seconds=seconds))
    observed = cluster.observe()
    defaulted = json.dumps(spec(training={"nodes": 2, "newWay": "slow"}, scheduling={"newThing": {}}, newPart={}))
    newer = replace(observed, resource=replace(observed.resource, spec=defaulted))
    before = decide(observed, SETTINGS, cluster.now)
    assert before.status.state in ("Pending", "Running")
    assert decide(newer, SETTINGS, cluster.now) == before


def test_what_begins_afterwards_is_made_by_the_new_settings() -> None:
    cluster = play(Story(seconds=0))
    assert not cluster.jobs
    (job,) = (
        child.object
        for child in decide(cluster.observe(), AFTER, cluster.now).children
        if child.object["kind"] == "Job"
    )
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.example/trainer:2"
    assert (pod["nodeSelector"], pod["serviceAccountName"]) == ({"pool": "new"}, "new")
