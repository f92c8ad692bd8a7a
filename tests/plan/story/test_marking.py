"""The last complete checkpoint stands on the pods that train, for whoever chooses among pods to preempt."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mtj_api.status import CheckpointStatus
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from mtj_operator.plan.story import decide
from mtj_operator.plan.story.decision import Mark
from support.sightings import NOW, ended, failed, job, pod, seen, status, train
from support.stories import SETTINGS

TIME = "2026-01-01T00:00:00Z"
SAVED = CheckpointStatus(step=400, url="s3://music/c/400", time=TIME)
STEP_KEY, TIME_KEY = "training.discomusica.io/last-checkpoint-step", "training.discomusica.io/last-checkpoint-time"
MARKED = ("400", TIME)


def marked(checkpoint: CheckpointStatus | None, *children: JobSnapshot | PodSnapshot) -> Sequence[Mark]:
    return decide(seen(status(train(), checkpoint=checkpoint), *children), SETTINGS, NOW).marks


def test_every_pod_gets_the_step_and_the_time_of_the_checkpoint() -> None:
    annotations = {STEP_KEY: "400", TIME_KEY: TIME}
    assert marked(SAVED, job(), pod(), pod(1)) == (
        Mark("chorales-train-1-0", annotations),
        Mark("chorales-train-1-1", annotations),
    )


@pytest.mark.parametrize(
    ("checkpoint", "children", "pods"),
    [
        pytest.param(None, [job(), pod(), pod(1)], "", id="there is none yet"),
        pytest.param(SAVED, [job(), pod(marked=MARKED), pod(1, marked=MARKED)], "", id="they have it"),
        pytest.param(SAVED, [job(), pod(marked=MARKED), pod(1, marked=("300", TIME))], "1", id="one has an older one"),
        pytest.param(SAVED, [job(), pod(), pod(1, deleted=True)], "0", id="one is on its way out"),
        pytest.param(SAVED, [job(), pod(), pod(1, phase="Pending")], "0", id="one does not run yet"),
        pytest.param(SAVED, [job(), pod(), ended(0, index=1)], "0", id="one has ended"),
        pytest.param(SAVED, [job(), pod(0, "evaluate")], "", id="another stage's"),
        pytest.param(SAVED, [failed(), ended(1), ended(69, index=1)], "", id="the attempt is over"),
    ],
)
def test_a_pod_is_marked_while_it_trains_and_only_when_that_changes_something(
    checkpoint: CheckpointStatus | None, children: Sequence[JobSnapshot | PodSnapshot], pods: str
) -> None:
    found = marked(checkpoint, *children)
    assert "".join(mark.pod[-1] for mark in found) == pods


def test_a_checkpoint_of_an_unknown_time_leaves_no_older_time_behind() -> None:
    (mark,) = marked(CheckpointStatus(step=400), job(), pod(marked=("300", TIME)), pod(1, marked=("400", "")))
    assert mark.annotations == {STEP_KEY: "400", TIME_KEY: None}
