"""What may change in a job that is there already: asked of a real API server, as a file alone has no past."""

from __future__ import annotations

from typing import Any

import pytest

from support.jobs import document
from support.rules import CLAIM, edits_of_the_resource, pods, scheduling
from support.verdict import Judge

Spec = dict[str, Any]

FIXED: dict[str, tuple[str, Spec, Spec]] = {
    "another source": ("dataset", {}, {"dataset": {"source": "./other"}}),
    "more workers": ("dataset", {}, {"dataset": {"source": "./music", "workers": {"count": 3}}}),
    "another model": ("model", {"model": {}}, {"model": {"conditioning": []}}),
    "a model where there was none": ("model", {}, {"model": {}}),
    "no model where there was one": ("model", {"model": {}}, {}),
    "another number of steps": ("training", {"model": {}, "training": {}}, {"model": {}, "training": {"steps": 5}}),
    "training where there was none": ("training", {"model": {}}, {"model": {}, "training": {}}),
    "no training where there was some": ("training", {"model": {}, "training": {}}, {"model": {}}),
    "more checkpoints": ("checkpoint", {}, {"checkpoint": {"keep": 3}}),
    "other pieces": ("evaluation", {}, {"evaluation": {"requests": []}}),
    "another port": ("monitoring", {}, {"monitoring": {"metricsPort": 0}}),
    "another output": ("output", {}, {"output": "./elsewhere"}),
}
"""The part that is named, the job as it was, and as it is to become."""

WHILE_SUSPENDED: dict[str, tuple[Spec, Spec]] = {
    "image": ({}, {"image": "trainer:2"}),
    "storageSecret": ({"storageSecret": "a"}, {}),
    "resources": ({}, {"resources": {"train": {"memory": "2Gi"}}}),
    "gpuResource": ({}, {"gpuResource": "amd.com/gpu"}),
    "nodeSelector": ({"nodeSelector": {"pool": "a"}}, {"nodeSelector": {"pool": "b"}}),
    "tolerations": ({}, {"tolerations": [{"operator": "Exists"}]}),
    "priorityClassName": ({"priorityClassName": "low"}, {"priorityClassName": "high"}),
    "queue": ({"queue": "music"}, {}),
    "podTemplate": (
        pods(volumes=[{"name": "a", "mountPath": "/a", **CLAIM}])["scheduling"],
        pods(volumes=[{"name": "a", "mountPath": "/b", **CLAIM}])["scheduling"],
    ),
}
"""A part of scheduling: before and after."""

AT_ANY_TIME: dict[str, tuple[Spec, Spec]] = {
    "suspend": ({}, scheduling(suspend=True)),
    "resume": (scheduling(suspend=True), {}),
    "deadlineSeconds": (scheduling(deadlineSeconds=60), scheduling(deadlineSeconds=90)),
    "ttlSecondsAfterFinished": ({}, scheduling(ttlSecondsAfterFinished=0)),
    "retries": ({}, scheduling(retries={"train": 9, "disruptions": 0})),
    "idleGpus": ({}, scheduling(idleGpus={"belowPercent": 20, "seconds": 60, "action": "suspend"})),
    "a default that is written out": ({}, scheduling(suspend=False, gpuResource="nvidia.com/gpu")),
    "a default of what is fixed": ({"model": {}, "training": {}}, {"model": {}, "training": {"steps": 2000}}),
    "nothing": ({"model": {}}, {"model": {}}),
}


@pytest.mark.parametrize(("part", "before", "after"), FIXED.values(), ids=FIXED)
def test_what_a_job_does_is_fixed_once_it_is_there(part: str, before: Spec, after: Spec, judge: Judge) -> None:
    (fault,) = judge.faults_of_edit(document(**before), document(**after))
    assert fault.startswith(f"spec.{part}: ")
    assert fault.endswith(
        f"{part} is fixed once a job is created, since what is done so far was done with it; "
        "apply it as a job of another name, or delete this one first: its output and checkpoints stay"
    )


def test_to_be_suspended_frees_nothing_that_is_fixed(judge: Judge) -> None:
    before = document(**scheduling(suspend=True))
    assert len(judge.faults_of_edit(before, document(**scheduling(suspend=True), output="./elsewhere"))) == 1


@pytest.mark.parametrize(("part", "change"), WHILE_SUSPENDED.items(), ids=WHILE_SUSPENDED)
@pytest.mark.parametrize("suspends", [False, True])
def test_where_pods_run_does_not_change_under_them(
    part: str, change: tuple[Spec, Spec], suspends: bool, judge: Judge
) -> None:
    """Not even in the edit that suspends the job, whose pods are still there."""
    before, after = change
    (fault,) = judge.faults_of_edit(document(**scheduling(**before)), document(**scheduling(**after, suspend=suspends)))
    assert fault.startswith(f"spec.scheduling.{part}: ")
    assert fault.endswith(
        f"{part} may change only while the job is suspended: apply 'suspend: true' first, then the change; "
        "it acts when 'suspend: false' resumes the job"
    )


@pytest.mark.parametrize(("before", "after"), WHILE_SUSPENDED.values(), ids=WHILE_SUSPENDED)
@pytest.mark.parametrize("resumes", [False, True])
def test_where_pods_run_may_change_while_there_are_none(before: Spec, after: Spec, resumes: bool, judge: Judge) -> None:
    suspended = document(**scheduling(**before, suspend=True))
    assert judge.faults_of_edit(suspended, document(**scheduling(**after, suspend=not resumes))) == []


@pytest.mark.parametrize(("before", "after"), AT_ANY_TIME.values(), ids=AT_ANY_TIME)
def test_what_needs_no_restart_may_change_at_any_time(before: Spec, after: Spec, judge: Judge) -> None:
    assert judge.faults_of_edit(document(**before), document(**after)) == []


def test_every_rule_over_edits_has_a_case() -> None:
    parts = {part for part, _, _ in FIXED.values()} | set(WHILE_SUSPENDED)
    assert {rule.message.partition(" ")[0] for rule in edits_of_the_resource()} == parts
