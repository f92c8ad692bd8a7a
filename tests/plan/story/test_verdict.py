"""How an attempt ended: whose fault it was decides whether it is tried again, and what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from mtj_operator.plan.story.seen import LOST_AFTER
from mtj_operator.plan.story.verdict import PODS_SEEN_WITHIN, End, Ending, Verdict, judge
from support.sightings import NOW, ended, failed, job, pod

ZERO, ONE = "chorales-train-1-0", "chorales-train-1-1"
LOG = "; its log may say why (mtj logs)"
OOM = (
    "the system ended it, as it ran out of memory; raise scheduling.resources.train.memory, or write "
    "training.batch.auto: true, with which the next attempt divides a step into more passes"
)
LOST = pod(1, deleted=True, vanishes=NOW - LOST_AFTER)
GOING = pod(1, deleted=True, vanishes=NOW - LOST_AFTER + 1)


TAKEN_AWAY = {
    "PreemptionByScheduler": "was preempted by a pod of a higher priority",
    "DeletionByTaintManager": "was evicted by a taint of its node",
    "EvictionByEvictionAPI": "was evicted, as when a node is drained",
    "DeletionByPodGC": "was lost with its node",
    "TerminationByKubelet": "was ended by its node, which ran short of something or shuts down",
    "SomethingNew": "was taken away",
}


def taken(code: int, by: str) -> PodSnapshot:
    """A pod that Kubernetes took away, whatever its stage made of that."""
    return ended(code, disruption=by, disrupted="Kubernetes' words", deleted=True)


def by_job(code: int | None, reason: str = "PodFailurePolicy") -> JobSnapshot:
    """A Job that failed a while ago, all of whose pods are gone."""
    said = f"Container stage for pod music/x failed with exit code {code} matching FailJob rule at index 0"
    return failed(ended=NOW - 3600, reason=reason, message="" if code is None else said)


@pytest.mark.parametrize(
    ("child", "pods", "end", "why"),
    [
        (job(succeeded=True), [], End.SUCCEEDED, ""),
        (failed(), [ended(65, "there are no notes; add some")], End.WRONG, "there are no notes; add some"),
        (failed(), [ended(65)], End.WRONG, "the job or its data cannot work as written"),
        (failed(), [ended(1, "the disk is full"), ended(65, "no", 1)], End.WRONG, "no"),
        (failed(), [ended(1, "the disk\nis full")], End.FAILED, "the disk is full"),
        (failed(), [ended(69), ended(1, "the disk is full", 1)], End.FAILED, "the disk is full"),
        (failed(), [ended(75), ended(1, "the disk is full", 1)], End.FAILED, "the disk is full"),
        (failed(), [ended(69), ended(1, "training hung: process 1 *", 1)], End.FAILED, "training hung: process 1 *"),
        (failed(), [ended(3)], End.FAILED, f"it failed with exit status 3{LOG}"),
        (failed(), [ended(139)], End.FAILED, f"it was ended by SIGSEGV{LOG}"),
        (
            failed(),
            [ended(128, exit_reason="StartError")],
            End.FAILED,
            f"it failed with exit status 128 (StartError){LOG}",
        ),
        (
            failed(),
            [ended(1, "a peer is silent"), ended(137, exit_reason="OOMKilled", index=1)],
            End.FAILED,
            OOM,
        ),
        (
            failed(),
            [ended(71, "memory ran out with 4 sequences a pass")],
            End.FAILED,
            "memory ran out with 4 sequences a pass",
        ),
        (failed(), [ended(1, "a peer is silent"), ended(71, "memory ran out", 1)], End.FAILED, "memory ran out"),
        (failed(), [ended(71)], End.FAILED, "it ran out of memory"),
        (failed(), [ended(137, exit_reason="Error")], End.FAILED, f"it was ended by SIGKILL{LOG}"),
        (failed(), [ended(69)], End.DISRUPTED, f"{ZERO} lost another process that it works with"),
        (failed(), [ended(69), ended(75, index=1)], End.DISRUPTED, f"{ONE} was told to stop, and saved its work"),
        (
            failed(),
            [ended(75), ended(137, index=1, disrupted="preempted")],
            End.DISRUPTED,
            f"{ONE} was taken away (preempted)",
        ),
        *(
            (failed(), [taken(code, by), ended(69, index=1)], End.DISRUPTED, f"{ZERO} {told} (Kubernetes' words)")
            for by, told in TAKEN_AWAY.items()
            for code in (0, 1, 69, 75, 134, 137, 143)
        ),
        (failed(), [ended(137, deleted=True)], End.DISRUPTED, f"{ZERO} was ended from outside"),
        (failed(), [ended(137, exit_reason="ContainerStatusUnknown")], End.DISRUPTED, f"{ZERO} was ended from outside"),
        (failed(), [pod(phase="Failed", disrupted="OutOfcpu")], End.DISRUPTED, f"{ZERO} was taken away (OutOfcpu)"),
        (job(), [pod(), LOST], End.DISRUPTED, f"the node node-1 of {ONE} does not answer"),
        (job(), [ended(1, "the disk is full"), LOST], End.FAILED, "the disk is full"),
        (job(deleted=True), [], End.DISRUPTED, "its Job was deleted"),
        (None, [], End.DISRUPTED, "its Job was deleted"),
        (None, [ended(1, "the disk is full")], End.FAILED, "the disk is full"),
        (job(deleted=True), [ended(0), ended(0, index=1)], End.SUCCEEDED, ""),
        (by_job(65), [], End.WRONG, "the job or its data cannot work as written"),
        (by_job(75), [], End.DISRUPTED, "its pods are gone"),
        (by_job(9), [], End.FAILED, f"it failed with exit status 9{LOG}"),
        (by_job(None, "BackoffLimitExceeded"), [], End.FAILED, "it failed, and its pods are gone"),
        (by_job(None, "DisruptionTarget"), [], End.DISRUPTED, "its pods are gone"),
    ],
)
def test_an_attempt_ends_by_the_fault_of_the_job_of_the_stage_or_of_nobody(
    child: JobSnapshot | None, pods: Sequence[PodSnapshot], end: End, why: str
) -> None:
    found = judge("train", child, pods, NOW)
    assert isinstance(found, Verdict)
    assert (found.end, found.why) == (end, why)


@pytest.mark.parametrize(
    ("stage", "advice"),
    [
        ("prepare", "raise scheduling.resources.prepare.memory or lower dataset.workers.count"),
        ("evaluate", "raise scheduling.resources.evaluate.memory"),
        ("publish", "raise scheduling.resources.evaluate.memory"),
    ],
)
def test_who_runs_out_of_memory_is_told_which_field_to_raise(stage: str, advice: str) -> None:
    found = judge(stage, failed(stage), [ended(137, exit_reason="OOMKilled")], NOW)
    assert isinstance(found, Verdict)
    assert found.why == f"the system ended it, as it ran out of memory; {advice}"
    assert found.out_of_memory


@pytest.mark.parametrize(
    ("pods", "ran_out"),
    [
        ([ended(137, exit_reason="OOMKilled")], True),
        ([ended(71)], True),
        ([ended(69), ended(71, index=1)], True),
        ([ended(137, exit_reason="Error")], False),
        ([ended(1, "the disk is full")], False),
        ([ended(65, "no"), ended(71, index=1)], False),
        ([ended(75), ended(137, index=1, disrupted="preempted")], False),
    ],
)
def test_an_attempt_that_ran_out_of_memory_is_told_from_one_that_died_otherwise(
    pods: Sequence[PodSnapshot], ran_out: bool
) -> None:
    found = judge("train", failed(), pods, NOW)
    assert isinstance(found, Verdict)
    assert found.out_of_memory == ran_out


@pytest.mark.parametrize(
    ("child", "pods"),
    [
        (job(), []),
        (job(), [pod(), pod(1, phase="Pending")]),
        (job(), [ended(0), pod(1)]),
        (job(), [ended(1), pod(1)]),
        (job(), [pod(), GOING]),
        (job(suspended=True), [ended(75)]),
    ],
)
def test_an_attempt_is_under_way_until_its_job_says_otherwise(child: JobSnapshot, pods: Sequence[PodSnapshot]) -> None:
    assert judge("train", child, pods, NOW) is None


@pytest.mark.parametrize(
    ("child", "pods", "ending"),
    [
        (job(failing=True), [ended(1), pod(1)], Ending(f"it has ended; waits for {ONE} to end too")),
        (failed(), [ended(1), pod(1)], Ending(f"it has ended; waits for {ONE} to end too")),
        (None, [pod()], Ending(f"it has ended; waits for {ZERO} to end too")),
        (job(failing=True), [GOING], Ending(f"it has ended; waits for {ONE} to end too")),
        (job(failing=True), [], Ending("it has failed")),
        (failed(), [], Ending("it has failed", until=NOW + PODS_SEEN_WITHIN)),
        (failed(), [ended(0)], Ending("it has failed", until=NOW + PODS_SEEN_WITHIN)),
    ],
)
def test_no_verdict_is_passed_while_a_pod_may_still_change_it(
    child: JobSnapshot | None, pods: Sequence[PodSnapshot], ending: Ending
) -> None:
    assert judge("train", child, pods, NOW) == ending


def test_pods_that_are_never_seen_hold_up_a_verdict_for_seconds_only() -> None:
    assert isinstance(judge("train", failed(), [], NOW + PODS_SEEN_WITHIN), Verdict)


def test_an_attempt_ended_when_its_job_did_and_else_when_that_was_noticed() -> None:
    for child, at in ((failed(ended=NOW - 9), NOW - 9), (job(failing=True), NOW), (None, NOW)):
        found = judge("train", child, [ended(1)], NOW)
        assert isinstance(found, Verdict)
        assert found.at == at


HEAD, WORKER = pod(0, "prepare"), pod(1, "prepare")
DONE, GONE = replace(HEAD, phase="Succeeded", exit_code=0), replace(WORKER, deleted=True, vanishes=0.0)


@pytest.mark.parametrize(
    ("child", "pods", "end"),
    [
        (job("prepare"), [HEAD, WORKER], None),
        (job("prepare", failed_indexes=frozenset({1})), [HEAD, replace(WORKER, phase="Failed", exit_code=1)], None),
        (job("prepare"), [HEAD, replace(WORKER, phase="Failed", exit_code=69)], None),
        (job("prepare"), [HEAD, GONE], None),
        (job("prepare"), [replace(HEAD, phase="Failed", exit_code=1), WORKER], End.FAILED),
        (job("prepare"), [replace(HEAD, phase="Failed", exit_code=65), WORKER], End.WRONG),
        (job("prepare"), [replace(HEAD, phase="Failed", disrupted="evicted"), HEAD, WORKER], End.DISRUPTED),
        (job("prepare"), [replace(HEAD, deleted=True, vanishes=0.0), WORKER], End.DISRUPTED),
        (job("prepare", failed_indexes=frozenset({0})), [WORKER], End.FAILED),
        (
            job("prepare", failing=True),
            [replace(HEAD, phase="Failed", exit_code=75), replace(WORKER, phase="Failed", exit_code=65)],
            End.WRONG,
        ),
        (job("prepare", deleted=True), [DONE, WORKER], End.SUCCEEDED),
        (job("prepare"), [DONE, WORKER], None),
        (job("prepare"), [DONE, GONE], End.SUCCEEDED),
        (job("prepare", pods=3), [DONE, GONE, pod(2, "prepare")], None),
        (job("prepare", suspended=True), [replace(HEAD, phase="Failed", exit_code=75, deleted=True), WORKER], None),
        (job("prepare", suspended=True, failed_indexes=frozenset({0})), [], End.FAILED),
    ],
)
def test_preparing_ends_with_its_first_pod_whatever_becomes_of_the_others(
    child: JobSnapshot, pods: Sequence[PodSnapshot], end: End | None
) -> None:
    found: Any = judge("prepare", child, pods, NOW)
    assert (found and found.end) is end
