"""The queue of keys: controller-runtime's semantics, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mtj_operator.control.queue import FIRST_BACKOFF, LONGEST_BACKOFF, WorkQueue


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock)


def taken(queue: WorkQueue[str]) -> str | None:
    found = queue.take()
    return found[0] if found else None


def test_keys_come_in_the_order_of_their_marks(queue: WorkQueue[str]) -> None:
    for key in "abc":
        queue.mark(key)
    assert [taken(queue) for _ in range(4)] == ["a", "b", "c", None]


def test_a_key_that_is_marked_many_times_comes_once(queue: WorkQueue[str]) -> None:
    for _ in range(3):
        queue.mark("a")
    assert [taken(queue), taken(queue)] == ["a", None]


def test_a_key_in_flight_does_not_come_a_second_time(queue: WorkQueue[str]) -> None:
    queue.mark("a")
    taken(queue)
    queue.mark("a")
    assert taken(queue) is None
    queue.done("a")
    assert taken(queue) == "a"


def test_changes_go_before_what_is_looked_at_again(queue: WorkQueue[str]) -> None:
    queue.mark("again", fresh=False)
    queue.mark("changed")
    assert [taken(queue), taken(queue)] == ["changed", "again"]


def test_what_waits_to_be_looked_at_again_and_changes_goes_first(queue: WorkQueue[str]) -> None:
    queue.mark("one", fresh=False)
    queue.mark("two", fresh=False)
    queue.mark("two")
    assert [taken(queue), taken(queue)] == ["two", "one"]


def test_a_key_in_flight_that_changes_comes_back_as_a_change(queue: WorkQueue[str]) -> None:
    queue.mark("a")
    taken(queue)
    queue.mark("a")
    queue.mark("a", fresh=False)
    queue.mark("b", fresh=False)
    queue.done("a")
    assert taken(queue) == "a"


def test_a_key_comes_back_after_the_time_that_was_asked_for(queue: WorkQueue[str], clock: Clock) -> None:
    queue.mark("a")
    taken(queue)
    queue.done("a", requeue_after=10.0)
    clock.now = 9.0
    assert taken(queue) is None
    assert queue.next_due() == 10.0
    clock.now = 10.0
    assert taken(queue) == "a"


def test_a_change_replaces_the_time_that_was_asked_for(queue: WorkQueue[str], clock: Clock) -> None:
    queue.mark("a")
    taken(queue)
    queue.done("a", requeue_after=10.0)
    queue.mark("a")
    taken(queue)
    queue.done("a")
    clock.now = 100.0
    assert taken(queue) is None
    assert queue.next_due() is None


def test_times_that_were_replaced_take_no_room(queue: WorkQueue[str]) -> None:
    for number in range(10_000):
        queue.mark("a")
        taken(queue)
        queue.done("a", requeue_after=1e6 + number)
    assert len(queue._timers) < 1000


def test_a_failing_key_comes_back_later_each_time(queue: WorkQueue[str], clock: Clock) -> None:
    delays = []
    queue.mark("a")
    for _ in range(12):
        assert taken(queue) == "a"
        delays.append(queue.failed("a"))
        assert taken(queue) is None
        clock.now += delays[-1]
    assert delays[:3] == [FIRST_BACKOFF, 2 * FIRST_BACKOFF, 4 * FIRST_BACKOFF]
    assert delays[-1] == LONGEST_BACKOFF


def test_a_success_ends_the_series_of_failures(queue: WorkQueue[str], clock: Clock) -> None:
    queue.mark("a")
    for _ in range(2):
        taken(queue)
        clock.now += queue.failed("a")
    taken(queue)
    queue.done("a")
    queue.mark("a")
    taken(queue)
    assert queue.failed("a") == FIRST_BACKOFF


def test_a_change_does_not_wait_for_the_pause_after_a_failure(queue: WorkQueue[str]) -> None:
    queue.mark("a")
    taken(queue)
    queue.failed("a")
    queue.mark("a")
    assert taken(queue) == "a"


def test_what_changed_while_it_failed_waits_for_the_pause(queue: WorkQueue[str]) -> None:
    queue.mark("a")
    taken(queue)
    queue.mark("a")
    queue.failed("a")
    assert taken(queue) is None


def test_the_oldest_mark_counts_until_it_is_dealt_with(queue: WorkQueue[str], clock: Clock) -> None:
    assert queue.oldest() == 0.0
    queue.mark("a")
    clock.now = 3.0
    queue.mark("b")
    clock.now = 5.0
    assert queue.oldest() == 5.0
    assert queue.take() == ("a", 5.0)
    assert queue.oldest() == 5.0
    queue.done("a")
    assert queue.oldest() == 2.0


def test_who_waits_is_woken_by_a_mark() -> None:
    async def wait() -> str | None:
        queue: WorkQueue[str] = WorkQueue(asyncio.get_running_loop().time)
        asyncio.get_running_loop().call_soon(queue.mark, "a")
        await queue.changed()
        return taken(queue)

    assert asyncio.run(wait()) == "a"


def test_who_waits_is_woken_when_a_key_is_due() -> None:
    async def wait() -> str | None:
        queue: WorkQueue[str] = WorkQueue(asyncio.get_running_loop().time)
        queue.mark("a")
        queue.take()
        queue.done("a", requeue_after=0.01)
        while (found := taken(queue)) is None:
            await queue.changed()
        return found

    assert asyncio.run(wait()) == "a"


class AnyUse(RuleBasedStateMachine):
    """However it is used: no key is twice in flight, and every mark is followed by a look."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.queue: WorkQueue[str] = WorkQueue(self.clock)
        self.in_flight: set[str] = set()
        self.owed: dict[str, float] = {}

    @rule(key=st.sampled_from("abcd"), fresh=st.booleans())
    def mark(self, key: str, fresh: bool) -> None:
        self.queue.mark(key, fresh=fresh)
        self.owed.setdefault(key, self.clock.now)

    @rule()
    def take(self) -> None:
        found = taken(self.queue)
        if found is not None:
            assert found not in self.in_flight
            self.in_flight.add(found)
            self.owed.pop(found, None)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), after=st.one_of(st.none(), st.floats(0.0, 20.0)))
    def finish(self, data: st.DataObject, after: float | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.in_flight)))
        self.in_flight.remove(key)
        self.queue.done(key, after)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.in_flight)))
        self.in_flight.remove(key)
        self.queue.failed(key)
        self.owed.setdefault(key, self.clock.now)

    @rule(seconds=st.floats(0.0, 30.0))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def nothing_is_old_where_nothing_waits(self) -> None:
        assert self.queue.oldest() >= 0.0
        if not len(self.queue) and not self.in_flight:
            assert self.queue.oldest() == 0.0

    def teardown(self) -> None:
        """In the end all that is owed a look gets one."""
        for key in sorted(self.in_flight):
            self.queue.done(key)
        self.clock.now += LONGEST_BACKOFF + 30.0
        while (found := taken(self.queue)) is not None:
            self.owed.pop(found, None)
            self.queue.done(found)
        assert self.owed == {}


TestAnyUse = AnyUse.TestCase
