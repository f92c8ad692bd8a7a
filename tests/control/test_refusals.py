"""Which Jobs are asked about because pods are missing, and what is made of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from mtj_operator.control.cache import Cache, Entry
from mtj_operator.control.client import Page
from mtj_operator.control.refusals import Refusals
from mtj_operator.control.rights import Kind
from mtj_operator.control.snapshots import Key
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from support.sightings import NOW, failed, job, pod

CHORALES = Key("music", "chorales")
QUOTA = "exceeded quota: gpus"


class Watched:
    """A cache with a Job and its pods, a cluster whose controller tells of a quota, and what asks about them.

    Attributes:
        asked: how often Events were listed.
        marked: the jobs that were to be looked at.
    """

    def __init__(self, child: JobSnapshot, *pods: PodSnapshot) -> None:
        self.cache = Cache()
        self.now = NOW
        self.asked = 0
        self.marked: list[Key] = []
        self._refusals = Refusals(self.cache, self, self.marked.append, lambda: self.now)  # type: ignore[arg-type]
        self.cache.jobs.put(Entry(CHORALES, child.name, child.uid, 1, child))
        for one in pods:
            self.put(one)

    def put(self, one: PodSnapshot) -> None:
        self.cache.pods.put(Entry(CHORALES, one.name, one.name, 1, one))

    async def pages(self, _kind: Kind, _namespace: str, *, fields: str) -> AsyncIterator[Page]:
        assert fields == "involvedObject.uid=uid-of-train-1,reason=FailedCreate"
        self.asked += 1
        events: list[Mapping[str, Any]] = [
            {"lastTimestamp": "2026-01-01T00:00:00Z", "message": QUOTA},
            {"lastTimestamp": "2025-12-31T23:59:00Z", "message": "an earlier one"},
        ]
        yield Page(events, 1)

    def look(self) -> str:
        """Why the Job lacks pods, after a look."""
        asyncio.run(self._refusals.look())
        return self.cache.refusals.get(CHORALES, {}).get("chorales-train-1", "")


@pytest.mark.parametrize("pods", [[], [pod()]], ids=["all", "some"])
def test_a_job_that_lacks_pods_is_asked_about(pods: list[PodSnapshot]) -> None:
    watched = Watched(job(), *pods)
    assert watched.look() == QUOTA
    assert watched.marked == [CHORALES]


@pytest.mark.parametrize(
    ("child", "pods"),
    [
        pytest.param(job(), [pod(), pod(1, phase="Pending")], id="has all"),
        pytest.param(job(started=None), [], id="is not taken up"),
        pytest.param(job(started=NOW - 1), [], id="was taken up this moment"),
        pytest.param(job(suspended=True), [], id="is held back"),
        pytest.param(job(failing=True), [pod()], id="ends"),
        pytest.param(failed(), [], id="has ended"),
    ],
)
def test_another_is_left_alone(child: JobSnapshot, pods: list[PodSnapshot]) -> None:
    watched = Watched(child, *pods)
    assert watched.look() == ""
    assert (watched.asked, watched.marked) == (0, [])


def test_it_is_asked_about_less_and_less_often_and_not_once_it_has_its_pods() -> None:
    watched = Watched(job(), pod())
    for later, asked in ((0, 1), (20, 1), (35, 2), (60, 2), (90, 3)):
        watched.now = NOW + later
        assert watched.look() == QUOTA
        assert watched.asked == asked
    watched.put(pod(1))
    assert watched.look() == ""
    assert watched.marked == [CHORALES, CHORALES]
