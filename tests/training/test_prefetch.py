"""Batches come in order, are made ahead, and a fault in making one is raised where it is waited for."""

from __future__ import annotations

import threading

import pytest

from mtj_trainer.train.prefetch import Prefetcher


def test_items_come_in_order() -> None:
    assert list(Prefetcher(lambda n: n * n, range(3, 50))) == [n * n for n in range(3, 50)]


def test_items_are_made_before_they_are_asked_for_but_not_all() -> None:
    made: list[int] = []
    fourth = threading.Event()

    def make(n: int) -> int:
        made.append(n)
        if n == 3:
            fourth.set()
        return n

    stream = iter(Prefetcher(make, range(100), ahead=4))
    next(stream)
    assert fourth.wait(10)
    assert len(made) <= 5
    stream.close()


def test_a_fault_is_raised_to_the_one_who_waits() -> None:
    def make(n: int) -> int:
        if n == 2:
            raise RuntimeError("broken shard")
        return n

    stream = iter(Prefetcher(make, range(5)))
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(RuntimeError, match="broken shard"):
        next(stream)


def test_who_is_told_to_stop_waits_no_longer() -> None:
    never, told = threading.Event(), threading.Event()

    def make(n: int) -> int:
        if n == 2:
            told.set()
            never.wait()
        return n

    assert list(Prefetcher(make, range(5), gives_up=told.is_set)) == [0, 1]
    never.set()


def test_nothing_to_do_is_done_at_once() -> None:
    assert list(Prefetcher(lambda n: n, range(0))) == []
