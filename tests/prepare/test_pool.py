"""The pool of Ray workers: all items once, in bounded number at a time, and dead workers survived."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtj_trainer.prepare.pool import Done, Lost, WorkerDiedError, WorkerPool
from mtj_trainer.stage import Interrupted

pytestmark = pytest.mark.slow


def surroundings() -> list[object]:
    """What the stage and its later children rely on."""
    names = ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "TMPDIR")
    return [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), *map(os.environ.get, names)]


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    before = surroundings()
    with WorkerPool(2) as pool:
        pool.start()
        assert surroundings() == before
        yield pool


def test_every_item_is_done_once(pool: WorkerPool) -> None:
    outcomes = list(pool.run(lambda number: number**2, range(50)))
    assert sorted((done.item, done.result) for done in outcomes if isinstance(done, Done)) == [
        (number, number**2) for number in range(50)
    ]


def test_no_more_items_are_taken_than_are_in_work(pool: WorkerPool) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    for finished, _ in enumerate(pool.run(lambda number: number, items())):
        assert len(taken) <= finished + 2


def test_workers_have_one_thread_each(pool: WorkerPool) -> None:
    def threads(_: int) -> tuple[str | None, int]:
        import torch

        return os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads()

    (done,) = pool.run_all(threads, [0])
    assert done.result == ("1", 1)


def test_an_item_that_ends_its_worker_is_handed_back_and_the_others_are_done(pool: WorkerPool) -> None:
    def ends_at_three(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    outcomes = list(pool.run(ends_at_three, range(6)))
    assert [outcome.item for outcome in outcomes if isinstance(outcome, Lost)] == [3]
    assert sorted(outcome.result for outcome in outcomes if isinstance(outcome, Done)) == [0, 1, 2, 4, 5]
    with pytest.raises(WorkerDiedError, match="the worker for 3 died each time"):
        list(pool.run_all(ends_at_three, [3]))


def test_a_worker_that_died_by_chance_is_tried_again(pool: WorkerPool, tmp_path: Path) -> None:
    def dies_the_first_time(folder: str) -> str:
        mark = Path(folder) / "tried"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    (done,) = pool.run_all(dies_the_first_time, [str(tmp_path)])
    assert done.result == "done"


def test_what_an_item_raises_is_raised_here(pool: WorkerPool) -> None:
    def fails(_: int) -> None:
        raise LookupError("as it was")

    with pytest.raises(LookupError, match="as it was"):
        list(pool.run(fails, [1]))


def test_a_pool_that_is_told_to_stop_does(pool: WorkerPool) -> None:
    stop = threading.Event()
    stopping = WorkerPool(2, stop)
    stopping._started = True  # shares the cluster of this module's pool
    outcomes = stopping.run(lambda number: number, range(1000))
    next(outcomes)
    stop.set()
    with pytest.raises(Interrupted):
        list(outcomes)
