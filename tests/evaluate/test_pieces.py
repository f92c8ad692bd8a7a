"""Pieces of a split: all of a small one, a reproducible part of a large one."""

from __future__ import annotations

import pytest

from mtj_trainer.evaluate.pieces import _within
from mtj_trainer.prepare.dataset import Sample

SAMPLES = [Sample("midi", "u", f"{n}.npy", 0, 0, 100.0, f"t{n}", "test") for n in range(20)]


@pytest.mark.parametrize(("most", "count"), [(2000, 20), (5000, 20), (1000, 10), (50, 1)])
def test_about_so_many_tokens_are_taken(most: int, count: int) -> None:
    taken = _within(SAMPLES, most, seed=0)
    assert len(taken) == count
    assert [SAMPLES.index(sample) for sample in taken] == sorted(SAMPLES.index(sample) for sample in taken)


def test_the_seed_decides_which() -> None:
    assert _within(SAMPLES, 500, seed=1) == _within(SAMPLES, 500, seed=1)
    assert _within(SAMPLES, 500, seed=1) != _within(SAMPLES, 500, seed=2)
