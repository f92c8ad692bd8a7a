"""When the operator says that a restart would help."""

from __future__ import annotations

import asyncio

import pytest
from kubernetes.aio.client import Configuration

from mtj_operator.control.cache import Cache
from mtj_operator.control.client import Client
from mtj_operator.control.health import DEAF, STUCK, Health
from mtj_operator.control.intake import Intake
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.queue import WorkQueue
from mtj_operator.control.resync import Resync
from mtj_operator.control.snapshots import Key

CHORALES = Key("music", "chorales")
RESYNC_SECONDS = 300.0


class Parts:
    """A health report and what it is about, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        metrics = Metrics()
        self.cache = Cache()
        self.queue: WorkQueue[Key] = WorkQueue(lambda: self.now)
        intake = Intake(self.cache, self.queue.mark, metrics, lambda: self.now)
        self.resync = Resync(
            Client(Configuration(), metrics), intake, [None], metrics, RESYNC_SECONDS, lambda: self.now
        )
        self.health = Health(self.cache, self.queue, intake, self.resync, metrics, lambda: True, lambda: self.now)


@pytest.fixture
def parts() -> Parts:
    async def made() -> Parts:  # the client wants a running loop
        return Parts()

    return asyncio.run(made())


def test_a_quiet_cluster_is_healthy(parts: Parts) -> None:
    parts.now += RESYNC_SECONDS
    assert parts.health.report().reasons == ()


def test_a_job_that_nobody_looks_at_is_a_reason(parts: Parts) -> None:
    parts.queue.mark(CHORALES)
    parts.now += STUCK + 1
    assert parts.health.report().reasons == ("a job has been waiting for a look for 301 s",)
    assert parts.health.report().oldest_queued_age == STUCK + 1


def test_a_look_that_never_ends_is_a_reason(parts: Parts) -> None:
    parts.queue.mark(CHORALES)
    parts.queue.take()
    parts.now += STUCK + 1
    assert len(parts.health.report().reasons) == 1


def test_a_job_that_waits_for_a_time_is_none(parts: Parts) -> None:
    parts.queue.mark(CHORALES)
    parts.queue.take()
    parts.queue.done(CHORALES, requeue_after=10 * STUCK)
    parts.now += STUCK + 1
    assert parts.health.report().reasons == ()


def test_comparisons_that_do_not_come_about_are_a_reason(parts: Parts) -> None:
    parts.now += 3 * RESYNC_SECONDS + 61
    assert parts.health.report().reasons == ("nothing could be compared with the API server for 961 s",)


def test_a_watch_that_misses_changes_time_and_again_is_a_reason(parts: Parts) -> None:
    parts.resync.deaf = DEAF - 1
    assert parts.health.report().reasons == ()
    parts.resync.deaf = DEAF
    assert parts.health.report().reasons == ("2 comparisons in a row found changes that no watch had told",)


def test_it_is_in_step_once_the_children_are_listed(parts: Parts) -> None:
    assert not parts.health.report().synced
    parts.cache.jobs.synced = parts.cache.pods.synced = True
    assert parts.health.report().synced
