"""The operator may be killed after any of its writes, and see late what has happened: the story ends the same.

The same are all objects and pods, the status and the Events; only times differ, and those not by much.
"""

from __future__ import annotations

import pytest

from support.cluster_model import Lag
from support.stories import play
from support.tales import TALES

ALL_LATE: Lag = (1, 1, 1)
LATE: tuple[Lag, ...] = ((4, 0, 0), (0, 4, 0), (0, 0, 4), (0, 2, 6), (0, 6, 2), (3, 3, 3), (2, 8, 8))

QUICK = ("stages that fail once", "suspended and resumed", "a Job that is deleted by hand")
EVERY_TALE = [pytest.param(tale, marks=() if tale in QUICK else pytest.mark.slow) for tale in TALES]


def assert_that_every_kill_is_survived(tale: str, lag: Lag) -> None:
    story = TALES[tale]
    undisturbed = play(story)
    expected = undisturbed.summary()
    for write, what in enumerate(undisturbed.writes, start=1):
        found = play(story, kill_at=write, lag=lag)
        assert found.summary() == expected, f"killed after its write {write}: {what}"


@pytest.mark.parametrize("tale", EVERY_TALE)
def test_killed_after_any_write_it_ends_the_same(tale: str) -> None:
    assert_that_every_kill_is_survived(tale, (0, 0, 0))


@pytest.mark.slow
@pytest.mark.parametrize("tale", TALES)
def test_killed_after_any_write_it_ends_the_same_though_it_sees_all_one_change_late(tale: str) -> None:
    assert_that_every_kill_is_survived(tale, ALL_LATE)


@pytest.mark.parametrize("tale", TALES)
def test_what_is_seen_late_changes_nothing(tale: str) -> None:
    expected = play(TALES[tale]).summary()
    for lag in LATE:
        assert play(TALES[tale], lag=lag).summary() == expected, lag
