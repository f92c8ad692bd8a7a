"""Why a job waits, in words that say what to do; and what they are about: the job, or the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from mtj_operator.plan.story import decide
from support.sightings import NOW, job, pod, seen, status, train
from support.stories import SETTINGS, spec

HELD = pod(1, phase="Pending", started=None)
NO_SECRET = 'secret "s3" not found'
NO_ROOM = ("Unschedulable", "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.")


def waits(reason: str, message: str = "") -> PodSnapshot:
    return replace(HELD, waiting=(reason, message))


@pytest.mark.parametrize(
    ("child", "pods", "state", "message"),
    [
        (None, [], "Pending", "waits for its pods"),
        (job(), [], "Pending", "waits for its pods"),
        (job(), [replace(HELD, index=0), HELD], "Pending", "waits for its pods"),
        (job(), [waits("ContainerCreating")], "Pending", "waits for its pods"),
        (job(), [pod(), HELD], "Pending", "1 of 2 pods run"),
        (job(), [pod(), pod(1)], "Running", "runs on 2 pods"),
        (job(pods=1), [pod()], "Running", "runs"),
        (
            job(suspended=True),
            [],
            "Pending",
            "its Job chorales-train-1 was suspended by somebody else; resume or delete that",
        ),
        (job(), [waits(*NO_ROOM)], "Pending", f"no node takes chorales-train-1-1: {NO_ROOM[1]}"),
        (
            job(),
            [pod(), waits(*NO_ROOM)],
            "Pending",
            f"1 of 2 pods run; no node takes chorales-train-1-1: {NO_ROOM[1]}",
        ),
        (
            job(),
            [waits("CreateContainerConfigError", NO_SECRET)],
            "Pending",
            f"the container of chorales-train-1-1 cannot be made: {NO_SECRET}; create what is missing, and it goes on",
        ),
        (job(), [waits("SchedulingGated")], "Pending", "chorales-train-1-1 waits (SchedulingGated)"),
        (job(), [waits("Odd", "so it is")], "Pending", "chorales-train-1-1 waits (Odd): so it is"),
    ],
)
def test_the_message_says_what_a_stage_waits_for(
    child: JobSnapshot | None, pods: Sequence[PodSnapshot], state: str, message: str
) -> None:
    decision = decide(seen(status(train("Pending")), *([child] if child else []), *pods), SETTINGS, NOW)
    row = decision.status.stages[1]
    assert (decision.status.state, row.state, row.message) == (state, state, message)
    assert decision.status.message == f"train: {message}"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
@pytest.mark.parametrize("image", [None, "registry.example/mine:2"])
def test_an_image_that_cannot_be_pulled_is_named_in_words_that_do_not_change_with_each_try(
    reason: str, image: str | None
) -> None:
    wanted = spec(scheduling={"image": image} if image else {})
    decision = decide(
        seen(status(train("Pending")), job(), waits(reason, "at 12:00:01 it said no"), spec=wanted), SETTINGS, NOW
    )
    assert decision.status.message == (
        f"train: the image {image or SETTINGS.trainer_image} cannot be pulled; name another by scheduling.image, or a "
        "Secret for its registry by scheduling.podTemplate.imagePullSecrets"
    )


@pytest.mark.parametrize(
    ("pods", "message"),
    [
        ([], "the cluster makes no pods for it: exceeded quota: gpus"),
        ([pod()], "1 of 2 pods run; the cluster makes no more pods for it: exceeded quota: gpus"),
    ],
)
def test_a_quota_that_forbids_pods_is_told(pods: Sequence[PodSnapshot], message: str) -> None:
    found = seen(status(train("Pending")), job(), *pods)
    found = replace(found, refusals={"chorales-train-1": "exceeded quota: gpus", "chorales-prepare-1": "old"})
    assert decide(found, SETTINGS, NOW).status.message == f"train: {message}"


def test_a_job_that_cannot_be_made_says_why_and_is_tried_again_under_its_name() -> None:
    found = replace(seen(status(train("Pending"))), refusals={"chorales-train-1": "the Job may not be: no quota"})
    decision = decide(found, SETTINGS, NOW)
    assert decision.status.message == "train: the Job may not be: no quota"
    assert decision.children[-1].object["metadata"]["name"] == "chorales-train-1"


def test_a_job_that_kueue_holds_back_is_queued_and_its_stage_pending() -> None:
    wanted = spec(scheduling={"queue": "music"})
    decision = decide(seen(status(train("Running")), job(suspended=True), spec=wanted), SETTINGS, NOW)
    assert (decision.status.state, decision.status.stages[1].state) == ("Queued", "Pending")
    assert decision.status.message == "train: waits in the queue music"


def test_preparing_runs_as_soon_as_its_first_pod_does() -> None:
    before = status(train("Waiting", 0)).model_copy(deep=True)
    before.stages[0].state, before.stages[0].attempt = "Pending", 1
    for index, state in ((0, "Running"), (1, "Pending")):
        decision = decide(seen(before, job("prepare"), pod(index, "prepare")), SETTINGS, NOW)
        assert (decision.status.state, decision.status.message) == (state, "prepare: 1 of 2 pods run")


def test_which_attempt_runs_is_told_from_the_second_on() -> None:
    found = seen(status(train("Pending", 2)), job(attempt=2), pod(0, attempt=2), pod(1, attempt=2))
    decision = decide(found, SETTINGS, NOW)
    assert decision.status.message == "train: runs on 2 pods, attempt 2"
    assert [event.message for event in decision.events] == ["train runs (attempt 2)"]


@pytest.mark.parametrize(
    ("before", "children", "message"),
    [
        (
            train("Waiting", 0),
            [job(owner="uid-of-an-earlier-job")],
            "waits for the Job chorales-train-1 of an earlier job of this name to be deleted",
        ),
        (train("Waiting", 0), [pod()], "waits for chorales-train-1-0 to be gone, whose name is needed again"),
        (train("Retrying"), [pod()], "waits for chorales-train-1-0 to end before the next attempt"),
        (train("Retrying"), [pod(), pod(1)], "waits for chorales-train-1-0 and 1 more to end before the next attempt"),
        (train("Retrying"), [job()], "waits for chorales-train-1 to be deleted"),
    ],
)
def test_what_is_in_the_way_of_an_attempt_is_named(before: Any, children: Sequence[Any], message: str) -> None:
    decision = decide(seen(status(before), *children), SETTINGS, NOW)
    assert (decision.status.state, decision.status.message) == ("Pending", f"train: {message}")


def test_a_pod_that_does_not_end_is_waited_for_until_its_node_counts_as_lost() -> None:
    found = seen(status(train("Retrying")), pod(deleted=True, vanishes=NOW + 90))
    assert decide(found, SETTINGS, NOW).requeue_after == 120
