"""A step's examples among processes: each once, in no larger passes than where all the processes are there."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtj_api.passes import sequences_in_a_pass
from mtj_api.spec import Batch, Training
from mtj_trainer.train.slices import divide, told


def training(nodes: int, each: int = 1, accumulation: int = 1, in_a_pass: int = 4) -> Training:
    size = nodes * each * accumulation * in_a_pass
    return Training(nodes=nodes, processes_per_node=each, batch=Batch(size=size, accumulation=accumulation))


@pytest.mark.parametrize(
    ("nodes", "accumulation", "processes", "passes", "lengths"),
    [
        pytest.param(2, 1, 2, 1, [[4], [4]], id="as the job asks for"),
        pytest.param(2, 2, 2, 2, [[4, 4], [4, 4]], id="with accumulation"),
        pytest.param(2, 1, 1, 2, [[4, 4]], id="one of two"),
        pytest.param(4, 1, 3, 2, [[2, 3], [2, 3], [3, 3]], id="three of four"),
        pytest.param(4, 1, 2, 2, [[4, 4], [4, 4]], id="two of four"),
        pytest.param(1, 2, 2, 2, [[2, 2], [2, 2]], id="more than the job asks for"),
    ],
)
def test_fewer_processes_make_more_passes_of_the_same_step(
    nodes: int, accumulation: int, processes: int, passes: int, lengths: list[list[int]]
) -> None:
    slices = divide(training(nodes, accumulation=accumulation), processes)
    assert slices.passes == passes
    assert [[len(part) for part in slices.of(3, rank)] for rank in range(processes)] == lengths
    assert slices.of(3, 0)[0].start == 3 * slices.size


def test_a_process_without_an_example_for_a_pass_makes_that_pass_all_the_same() -> None:
    slices = divide(training(3, in_a_pass=1), 2)
    assert [slices.of(0, rank) for rank in (0, 1)] == [[range(0), range(1)], [range(1, 2), range(2, 3)]]


@pytest.mark.parametrize(
    ("processes", "line"),
    [(4, ""), (3, "3 of 4 processes: a step keeps its 16 sequences, in 2 passes"), (5, "")],
)
def test_a_user_is_told_of_processes_that_are_missing(processes: int, line: str) -> None:
    assert told(training(4), processes) == line


@given(
    nodes=st.integers(1, 9),
    each=st.integers(1, 4),
    accumulation=st.integers(1, 4),
    in_a_pass=st.integers(1, 5),
    processes=st.integers(1, 40),
    step=st.integers(0, 1000),
)
def test_every_example_of_a_step_is_in_one_pass_of_one_process(
    nodes: int, each: int, accumulation: int, in_a_pass: int, processes: int, step: int
) -> None:
    asked_for = training(nodes, each, accumulation, in_a_pass)
    slices = divide(asked_for, processes)
    parts = [slices.of(step, rank) for rank in range(processes)]
    assert {len(passes) for passes in parts} == {slices.passes}
    seen = list(chain.from_iterable(chain.from_iterable(parts)))
    assert seen == list(range(step * slices.size, (step + 1) * slices.size))
    longest = max(len(positions) for passes in parts for positions in passes)
    assert longest == sequences_in_a_pass(asked_for, processes) <= in_a_pass
