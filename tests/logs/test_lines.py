"""Lines of a log: cut from pieces, told apart from those that were had before, and merged by time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtj_operator.logs.lines import LONGEST, Line, Position, Splitter, merged

SECOND = 10**9
AT = "2026-01-31T12:00:00"
NOON = 1_769_860_800 * SECOND


@pytest.mark.parametrize(
    ("written", "time"),
    [
        (f"{AT}.123456789Z", NOON + 123_456_789),
        (f"{AT}.5Z", NOON + SECOND // 2),
        (f"{AT}Z", NOON),
        (f"{AT}.000000001+02:00", NOON - 7200 * SECOND + 1),
    ],
)
def test_the_time_of_a_line_is_that_of_its_container(written: str, time: int) -> None:
    assert Splitter().lines(f"{written} step 1\n".encode()) == [Line(time, "step 1")]


def test_a_line_without_a_time_is_whole() -> None:
    assert Splitter().lines(b"unable to retrieve\n\n") == [Line(0, "unable to retrieve"), Line(0, "")]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_lines_are_the_same_however_the_connection_cuts_them(size: int) -> None:
    log = f"{AT}Z one\n{AT}Z \n{AT}Z zwölf  \n{AT}Z carriage\r\n".encode()
    splitter = Splitter()
    found = [line for start in range(0, len(log), size) for line in splitter.lines(log[start : start + size])]
    assert found == [Line(NOON, text) for text in ("one", "", "zwölf  ", "carriage")]
    assert splitter.rest() == []


def test_the_last_line_may_have_no_end() -> None:
    splitter = Splitter()
    assert splitter.lines(f"{AT}Z one\n{AT}Z tw".encode()) == [Line(NOON, "one")]
    assert splitter.lines(b"o") == []
    assert splitter.rest() == [Line(NOON, "two")]


def test_a_long_line_is_cut_and_the_next_one_is_whole() -> None:
    splitter = Splitter()
    found = []
    for piece in (f"{AT}Z ".encode(), *[b"x" * 1000] * 1000, f"\n{AT}Z short\n".encode()):
        found += splitter.lines(piece)
    assert found == [Line(NOON, "x" * LONGEST + " ..."), Line(NOON, "short")]


times = st.lists(st.integers(0, 5 * SECOND), max_size=30).map(sorted)
"""Of a log; several lines may have one time, and many one second."""


@given(times=times, swaps=st.lists(st.integers(0, 28), max_size=5), breaks=st.lists(st.integers(0, 30), max_size=8))
def test_however_often_it_breaks_off_each_line_is_had_once(
    times: list[int], swaps: list[int], breaks: list[int]
) -> None:
    """Two streams of a container are written side by side, so neighbours may have changed places."""
    for first in swaps:
        if first + 1 < len(times):
            times[first], times[first + 1] = times[first + 1], times[first]
    log = [Line(NOON + time, str(number)) for number, time in enumerate(times)]
    position, had = Position(), []
    for length in (*breaks, len(log)):
        since = Splitter().lines(f"{begin} \n".encode())[0].time if (begin := position.begin()) else 0
        answer = [line for line in log if line.time >= since]
        had += [line for line in answer[:length] if position.is_new(line)]
    assert had == log


def test_an_answer_that_was_cut_short_confirms_nothing() -> None:
    position = Position()
    assert not position.is_confirmed
    position.begin()
    assert [position.is_new(Line(NOON, text)) for text in "ab"] == [True, True]
    position.begin()
    assert not position.is_new(Line(NOON, "a"))
    assert not position.is_confirmed
    assert not position.is_new(Line(NOON, "b"))
    assert position.is_confirmed


def test_a_log_that_was_begun_anew_meanwhile_hides_nothing_of_later_seconds() -> None:
    position = Position()
    position.begin()
    assert [position.is_new(Line(NOON, text)) for text in "abc"] == [True] * 3
    assert position.begin() == f"{AT}Z"
    assert position.is_new(Line(NOON + SECOND, "d"))


@given(st.lists(times, max_size=5))
def test_logs_are_merged_by_time(logs: list[list[int]]) -> None:
    async def found() -> list[tuple[int, Line]]:
        return [each async for each in merged([lines(number, log) for number, log in enumerate(logs)])]

    merge = asyncio.run(found())
    assert [line.time for _, line in merge] == sorted(time for log in logs for time in log)
    for number, log in enumerate(logs):
        assert [line for of, line in merge if of == number] == [Line(time, f"{number}") for time in log]


async def lines(number: int, log: list[int]) -> AsyncIterator[Line]:
    for time in log:
        yield Line(time, f"{number}")


def test_merging_holds_a_line_of_each_log_at_a_time() -> None:
    held = 0

    async def endless(start: int) -> AsyncIterator[Line]:
        nonlocal held
        for time in range(start, 10**9):
            held += 1
            yield Line(time, "")

    async def read() -> None:
        nonlocal held
        async for number, _line in merged([endless(start) for start in range(3)]):
            held -= 1
            assert held < 3
            if number == 2:
                break

    asyncio.run(read())
