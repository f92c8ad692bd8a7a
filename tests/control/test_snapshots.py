"""What is kept of the objects that the API server sends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mtj_operator.control import snapshots
from mtj_operator.control.snapshots import Key

Raw = dict[str, Any]

OWNER: Raw = {
    "apiVersion": "training.discomusica.io/v1alpha1",
    "kind": "MusicTrainingJob",
    "name": "chorales",
    "uid": "the-owner",
    "controller": True,
}
LABELS = {
    "training.discomusica.io/job": "chorales",
    "training.discomusica.io/stage": "train",
    "training.discomusica.io/attempt": "2",
}


def metadata(**more: Any) -> Raw:
    return {
        "namespace": "music",
        "name": "one",
        "uid": "u",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **more,
    }


def job(status: Raw | None = None, spec: Raw | None = None, **more: Any) -> Raw:
    owned = metadata(labels=LABELS, ownerReferences=[OWNER], **more)
    return {"metadata": owned, "spec": {"completions": 3, **(spec or {})}, "status": status or {}}


def pod(status: Raw | None = None, **more: Any) -> Raw:
    labels = {**LABELS, "batch.kubernetes.io/job-name": "chorales-train-2"}
    labels["batch.kubernetes.io/job-completion-index"] = "1"
    return {"metadata": metadata(labels=labels, **more), "spec": {"nodeName": "node1"}, "status": status or {}}


def condition(type_: str, status: str = "True", **more: str) -> Raw:
    return {"type": type_, "status": status, "lastTransitionTime": "2026-01-01T00:02:00Z", **more}


def container(name: str = "stage", **state: Raw) -> Raw:
    return {"name": name, "state": state}


def test_a_resource_keeps_its_spec_and_status_as_compact_text() -> None:
    spec = {"output": "s3://music/out", "model": {}}
    found = snapshots.resource({"metadata": metadata(generation=3), "spec": spec, "status": {"state": "Pending"}})
    assert (found.namespace, found.name, found.uid, found.generation, found.version) == ("music", "one", "u", 3, "7")
    assert json.loads(found.spec) == spec
    assert found.status == '{"state":"Pending"}'
    assert found.created == 1767225600.0
    assert not found.deleted


@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": {"observedGeneration": -1}}])
def test_a_resource_that_nobody_has_told_about_has_an_empty_status(status: Raw) -> None:
    assert snapshots.resource({"metadata": metadata(), "spec": {}, **status}).status == snapshots.NO_STATUS


def test_a_resource_on_its_way_out_is_deleted() -> None:
    assert snapshots.resource({"metadata": metadata(deletionTimestamp="2026-01-01T00:00:00Z"), "spec": {}}).deleted


def test_a_job_says_whose_it_is_and_which_attempt() -> None:
    found = snapshots.job(job())
    assert (found.name, found.uid, found.owner, found.stage, found.attempt, found.pods) == (
        "one",
        "u",
        "the-owner",
        "train",
        2,
        3,
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, {"started": None, "ended": None, "succeeded": False, "failed": False, "failing": False}),
        ({"startTime": "2026-01-01T00:01:00Z"}, {"started": 1767225660.0, "ended": None}),
        (
            {"completionTime": "2026-01-01T00:03:00Z", "conditions": [condition("Complete")]},
            {"succeeded": True, "ended": 1767225780.0},
        ),
        ({"conditions": [condition("SuccessCriteriaMet")]}, {"succeeded": False, "ended": None}),
        (
            {"conditions": [condition("Failed", reason="PodFailurePolicy", message="exit code 65")]},
            {"failed": True, "failing": False, "reason": "PodFailurePolicy", "message": "exit code 65"}
            | {"ended": 1767225720.0},
        ),
        (
            {"conditions": [condition("FailureTarget", reason="BackoffLimitExceeded")]},
            {"failed": False, "failing": True, "reason": "BackoffLimitExceeded", "ended": None},
        ),
        ({"conditions": [condition("Failed", "False")]}, {"failed": False}),
        ({"failedIndexes": "0,3-5"}, {"failed_indexes": frozenset({0, 3, 4, 5})}),
        ({"failedIndexes": ""}, {"failed_indexes": frozenset()}),
    ],
)
def test_a_job_s_status_is_reduced_to_what_became_of_it(status: Raw, expected: Raw) -> None:
    found = snapshots.job(job(status))
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize("kind", ["Failed", "FailureTarget"])
def test_a_job_whose_success_policy_is_met_has_not_failed_by_a_helper_that_did(kind: str) -> None:
    status = {"completedIndexes": "0", "failedIndexes": "1", "conditions": [condition(kind, reason="FailedIndexes")]}
    policy = {"successPolicy": {"rules": [{"succeededIndexes": "0"}]}}
    found = snapshots.job(job(status, spec=policy))
    assert (found.succeeded, found.failed, found.failing) == (kind == "Failed", False, False)
    assert snapshots.job(job(status)).succeeded is False, "where every pod is needed"


def test_a_job_that_kueue_holds_back_is_suspended() -> None:
    assert snapshots.job(job(spec={"suspend": True})).suspended


@pytest.mark.parametrize(
    "reference",
    [
        {**OWNER, "controller": False},
        {**OWNER, "kind": "CronJob"},
        {**OWNER, "apiVersion": "batch/v1"},
    ],
)
def test_only_a_controlling_musictrainingjob_owns(reference: Raw) -> None:
    assert snapshots.owner_uid({"metadata": metadata(ownerReferences=[reference])}) == ""


@pytest.mark.parametrize("attempt", ["", "two", "-1"])
def test_labels_that_somebody_spoilt_belong_to_no_attempt(attempt: str) -> None:
    spoilt = job()
    spoilt["metadata"]["labels"] = {**LABELS, "training.discomusica.io/attempt": attempt}
    assert snapshots.job(spoilt).attempt == 0


def test_children_belong_to_the_job_of_their_label() -> None:
    assert snapshots.owner_key(job()) == Key("music", "chorales")
    assert snapshots.owner_key({"metadata": metadata()}) == Key("music", "")


def test_a_pod_says_which_attempt_and_index_it_is() -> None:
    found = snapshots.pod(pod())
    assert (found.job, found.stage, found.attempt, found.index, found.phase, found.node) == (
        "chorales-train-2",
        "train",
        2,
        1,
        "Pending",
        "node1",
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            {"phase": "Running", "podIP": "10.0.0.7"}
            | {"containerStatuses": [container(running={"startedAt": "2026-01-01T00:01:00Z"})]},
            {"phase": "Running", "address": "10.0.0.7", "started": 1767225660.0, "exit_code": None},
        ),
        (
            {"phase": "Failed"}
            | {
                "containerStatuses": [
                    container(terminated={"exitCode": 65, "reason": "Error", "message": "no music\n"})
                ]
            },
            {"exit_code": 65, "exit_reason": "Error", "exit_message": "no music", "disrupted": "", "started": None},
        ),
        (
            {"phase": "Failed", "containerStatuses": [container("sidecar", terminated={"exitCode": 1})]},
            {"exit_code": None},
        ),
        (
            {"phase": "Failed", "conditions": [condition("DisruptionTarget", message="node drained")]}
            | {"containerStatuses": [container(terminated={"exitCode": 137})]},
            {"exit_code": 137, "disrupted": "node drained"},
        ),
        (
            {"phase": "Failed", "reason": "OutOfcpu", "message": "node has too few cores"},
            {"exit_code": None, "disrupted": "node has too few cores"},
        ),
        (
            {"phase": "Pending"}
            | {"conditions": [condition("PodScheduled", "False", reason="Unschedulable", message="0/2 nodes")]},
            {"waiting": ("Unschedulable", "0/2 nodes")},
        ),
        (
            {"phase": "Pending", "conditions": [condition("PodScheduled")]}
            | {"containerStatuses": [container(waiting={"reason": "ImagePullBackOff", "message": "no such image"})]},
            {"waiting": ("ImagePullBackOff", "no such image")},
        ),
        (
            {"phase": "Running", "containerStatuses": [container("sidecar", waiting={"reason": "CrashLoopBackOff"})]},
            {"waiting": ("", "")},
        ),
        (
            {"phase": "Failed"}
            | {"containerStatuses": [container(terminated={"exitCode": 128, "startedAt": "1970-01-01T00:00:00Z"})]},
            {"exit_code": 128, "started": None},
        ),
    ],
)
def test_a_pod_s_status_is_reduced_to_how_it_does(status: Raw, expected: Raw) -> None:
    found = snapshots.pod(pod(status))
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_pod_on_its_way_out_says_until_when() -> None:
    found = snapshots.pod(pod(deletionTimestamp="2026-01-01T00:02:00Z"))
    assert found.deleted
    assert found.vanishes == 1767225720.0


@pytest.mark.parametrize("read", [snapshots.job, snapshots.pod])
def test_the_barest_object_can_be_read(read: Any) -> None:
    found = read({"metadata": metadata()})
    assert (found.name, found.stage, found.attempt) == ("one", "", 0)


def test_a_pod_bears_the_last_checkpoint_that_was_written_on_it() -> None:
    step, time = "training.discomusica.io/last-checkpoint-step", "training.discomusica.io/last-checkpoint-time"
    assert snapshots.pod(pod(annotations={step: "300", time: "2026-01-31T12:00:00Z"})).marked == (
        "300",
        "2026-01-31T12:00:00Z",
    )
    assert snapshots.pod(pod()).marked == ("", "")


@pytest.mark.parametrize(
    ("conditions", "word"),
    [
        ([condition("DisruptionTarget", reason="PreemptionByScheduler", message="a higher priority")], "Preemption"),
        ([condition("DisruptionTarget", "False", reason="PreemptionByScheduler")], ""),
        ([condition("Ready", reason="PreemptionByScheduler")], ""),
        ([], ""),
    ],
)
def test_a_pod_says_in_a_word_what_took_it_away(conditions: list[Raw], word: str) -> None:
    found = snapshots.pod(pod({"phase": "Running", "conditions": conditions})).disruption
    assert found.removesuffix("ByScheduler") == word


@pytest.mark.parametrize(
    ("conditions", "since"),
    [
        pytest.param([condition("PodScheduled", "False", reason="Unschedulable")], 1_767_225_720.0, id="no node"),
        pytest.param([condition("PodScheduled", "False", reason="SchedulingGated")], None, id="held back on purpose"),
        pytest.param([condition("PodScheduled")], None, id="has one"),
        pytest.param([], None, id="not looked at yet"),
    ],
)
def test_since_when_no_node_takes_a_pod(conditions: list[Raw], since: float | None) -> None:
    assert snapshots.pod(pod({"phase": "Pending", "conditions": conditions})).unschedulable == since
