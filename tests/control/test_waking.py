"""A job that waits for another is looked at as soon as anything of that one changes, whoever tells of it."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_operator.control.cache import Cache
from mtj_operator.control.intake import Intake
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.snapshots import Key

CODEC, TUNES, MORE = Key("music", "codec"), Key("music", "tunes"), Key("music", "more")


def raw(key: Key, version: int, *waits_for: str, **status: Any) -> dict[str, Any]:
    """A MusicTrainingJob as the API server has it."""
    sources = dict(zip(("model", "dataset"), ({"from": {"job": name}} for name in waits_for), strict=False))
    return {
        "metadata": {
            "namespace": key.namespace,
            "name": key.name,
            "uid": f"uid-of-{key.name}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": sources,
        "status": status,
    }


class Told:
    """An intake, and the jobs that it had looked at since it was last asked."""

    def __init__(self) -> None:
        self.cache = Cache()
        self._marked: set[Key] = set()
        self.intake = Intake(self.cache, lambda key, **_: self._marked.add(key), Metrics(), lambda: 0.0)

    def event(self, what: str, key: Key, version: int, *waits_for: str, **status: Any) -> None:
        self.intake.event(self.intake.resources, what, raw(key, version, *waits_for, **status))

    @property
    def marked(self) -> set[Key]:
        found, self._marked = self._marked, set()
        return found


@pytest.fixture
def told() -> Told:
    return Told()


def test_who_waits_is_woken_by_every_change(told: Told) -> None:
    told.cache.wait(TUNES, ["codec"])
    told.cache.wait(MORE, ["codec", "songs"])
    told.event("ADDED", CODEC, 1)
    assert told.marked == {CODEC, TUNES, MORE}
    told.event("MODIFIED", CODEC, 2, state="Running")
    assert told.marked == {CODEC, TUNES, MORE}
    told.event("MODIFIED", CODEC, 2, state="Running")
    assert told.marked == set()
    told.event("DELETED", CODEC, 3)
    assert told.marked == {CODEC, TUNES, MORE}


def test_a_list_wakes_as_events_do(told: Told) -> None:
    told.cache.wait(TUNES, ["codec"])
    feed = told.intake.resources
    told.intake.listed(feed, [feed.entry(raw(CODEC, 1))], 1, None)
    assert told.marked == {CODEC, TUNES}


def test_who_waits_no_longer_is_left_alone(told: Told) -> None:
    told.cache.wait(TUNES, ["codec"])
    told.cache.wait(MORE, ["codec"])
    told.cache.wait(TUNES, [])
    told.cache.forget(MORE)
    told.event("ADDED", CODEC, 1)
    assert told.marked == {CODEC}


def test_who_waits_for_another_now_is_woken_by_that_alone(told: Told) -> None:
    told.cache.wait(TUNES, ["codec"])
    told.cache.wait(TUNES, ["more"])
    told.event("ADDED", CODEC, 1)
    assert told.marked == {CODEC}
    told.event("ADDED", MORE, 2)
    assert told.marked == {MORE, TUNES}


def test_a_namesake_in_another_namespace_wakes_nobody(told: Told) -> None:
    told.cache.wait(TUNES, ["codec"])
    told.event("ADDED", Key("speech", "codec"), 1)
    assert told.marked == {Key("speech", "codec")}


def test_a_job_is_observed_with_all_that_it_waits_for_and_nothing_else(told: Told) -> None:
    told.event("ADDED", TUNES, 1, "codec", "gone")
    told.event("ADDED", CODEC, 2, "more")
    told.event("ADDED", MORE, 3, "tunes", state="Succeeded")
    told.event("ADDED", Key("music", "bystander"), 4)
    found = told.cache.observe(TUNES)
    assert found is not None
    assert set(found.others) == {"codec", "more"}
    told.event("MODIFIED", TUNES, 5, "codec", "gone", sources={"codec": "s3://music/codec"})
    found = told.cache.observe(TUNES)
    assert found is not None
    assert found.others == {}
