"""The n-gram baseline is modified Kneser-Ney: checked against the formula written out slowly, and by its properties."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_trainer.evaluate.ngram import NgramModel, nucleus

VOCABULARY = 6
START = VOCABULARY
sequences = st.lists(st.lists(st.integers(0, VOCABULARY - 1), max_size=40), min_size=1, max_size=4).filter(any)


class SlowKneserNey:
    """Chen & Goodman's equations (26) and (27) with dictionaries, one n-gram at a time."""

    def __init__(self, data: list[list[int]], order: int) -> None:
        self.order = order
        self.counts: dict[int, Counter[tuple[int, ...]]] = defaultdict(Counter)
        for sequence in data:
            marked = [START] * (order - 1) + sequence
            for end in range(order, len(marked) + 1):
                self.counts[order][tuple(marked[end - order : end])] += 1
        for n in range(order - 1, 0, -1):
            for gram in self.counts[n + 1]:
                self.counts[n][gram[1:]] += 1
        self.discounts = {n: self._discounts(n) for n in self.counts}

    def _discounts(self, n: int) -> list[float]:
        ns = Counter(self.counts[n].values())
        if not ns[1] or not ns[2]:
            return [0.0, 0.5, 1.0, 1.5]
        y = ns[1] / (ns[1] + 2 * ns[2])
        ds = [0.0]
        for times, spare in ((1, 0.5), (2, 1.0), (3, 1.5)):
            d = times - (times + 1) * y * ns[times + 1] / ns[times] if ns[times] else 0.0
            ds.append(d if 0 < d <= times else spare)
        return ds

    def probability(self, context: tuple[int, ...], token: int) -> float:
        n = len(context) + 1
        lower = self.probability(context[1:], token) if n > 1 else 1 / VOCABULARY
        after = {gram[-1]: count for gram, count in self.counts[n].items() if gram[:-1] == context}
        if not after:
            return lower
        take = self.discounts[n]
        total = sum(after.values())
        count = after.get(token, 0)
        held_back = sum(take[min(c, 3)] for c in after.values())
        return (count - take[min(count, 3)]) / total + held_back / total * lower


@settings(max_examples=60, deadline=None)
@given(data=sequences, order=st.integers(1, 5), probe=st.lists(st.integers(0, VOCABULARY - 1), max_size=12))
def test_it_equals_the_formula_written_out(data: list[list[int]], order: int, probe: list[int]) -> None:
    fast = NgramModel.fit([np.array(s, dtype=np.uint16) for s in data], vocabulary=VOCABULARY, order=order)
    slow = SlowKneserNey(data, order)
    marked = [START] * (order - 1) + probe
    expected = [
        -np.log(slow.probability(tuple(marked[end : end + order - 1]), token)) for end, token in enumerate(probe)
    ]
    np.testing.assert_allclose(fast.nll(np.array(probe, dtype=np.int64)), expected, rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(data=sequences, order=st.integers(1, 5), history=st.lists(st.integers(0, VOCABULARY - 1), max_size=8))
def test_probabilities_of_any_history_are_positive_and_sum_to_one(
    data: list[list[int]], order: int, history: list[int]
) -> None:
    model = NgramModel.fit([np.array(s, dtype=np.uint16) for s in data], vocabulary=VOCABULARY, order=order)
    weights = model.probabilities(history)
    assert weights.shape == (VOCABULARY,)
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)


@given(data=sequences)
def test_nll_is_the_log_of_the_next_tokens_probability(data: list[list[int]]) -> None:
    model = NgramModel.fit([np.array(s, dtype=np.uint16) for s in data], vocabulary=VOCABULARY, order=3)
    sequence = data[0]
    each = [-np.log(model.probabilities(sequence[:end])[token]) for end, token in enumerate(sequence)]
    np.testing.assert_allclose(model.nll(np.array(sequence, dtype=np.int64)), each)


def _markov(rng: np.random.Generator, length: int) -> np.ndarray:
    """A source that only an order of three or more can predict: each token follows from the two before it."""
    tokens = [0, 1]
    for _ in range(length):
        tokens.append((tokens[-1] + 2 * tokens[-2] + int(rng.random() < 0.1)) % 20)
    return np.array(tokens, dtype=np.uint16)


def test_a_higher_order_predicts_a_source_with_memory_better() -> None:
    rng = np.random.default_rng(0)
    train, test = _markov(rng, 20_000), _markov(rng, 2_000)
    loss = {n: NgramModel.fit([train], vocabulary=20, order=n).nll(test).mean() for n in (1, 2, 3, 5)}
    assert loss[3] < 0.5 * loss[2] < 0.5 * loss[1]
    assert loss[5] < loss[3] + 0.05, "longer contexts are smoothed, not overfitted"
    entropy = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
    assert loss[3] == pytest.approx(entropy, abs=0.1)


def test_counting_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    data = [_markov(rng, 200) for _ in range(10)]
    whole = NgramModel.fit(data, vocabulary=20)
    monkeypatch.setattr("mtj_trainer.evaluate.ngram.BLOCK", 100)
    np.testing.assert_array_equal(NgramModel.fit(data, vocabulary=20).nll(data[3]), whole.nll(data[3]))


def test_samples_follow_the_distribution_and_the_prompt() -> None:
    train = np.array([0, 1, 2, 3] * 200, dtype=np.uint16)
    model = NgramModel.fit([train], vocabulary=VOCABULARY)

    def draw(seed: int, **how: Any) -> list[int]:
        return list(islice(model.continuation(np.random.default_rng(seed), prompt=[1, 2], **how), 40))

    assert draw(0, top_p=0.9) == [3, 0, 1, 2] * 10
    assert draw(0) == draw(0)
    never = np.arange(VOCABULARY) != 3
    assert 3 not in draw(0, allowed=never)


@given(data=sequences)
def test_the_most_probable_token_is_the_one_with_the_highest_probability(data: list[list[int]]) -> None:
    model = NgramModel.fit([np.array(s, dtype=np.uint16) for s in data], vocabulary=VOCABULARY, order=3)
    probe = np.array(data[0], dtype=np.int64)
    for place, token in enumerate(model.most_probable(probe)):
        weights = model.probabilities(probe[:place])
        assert weights[token] == pytest.approx(weights.max(), rel=1e-12)


@pytest.mark.parametrize(
    ("temperature", "top_p", "expected"),
    [
        (1.0, 1.0, [0.5, 0.3, 0.2]),
        (1.0, 0.5, [1.0, 0.0, 0.0]),
        (1.0, 0.6, [0.625, 0.375, 0.0]),
        (0.5, 1.0, [0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38]),
        (0.001, 1.0, [1.0, 0.0, 0.0]),
    ],
)
def test_nucleus_keeps_the_smallest_set_with_the_mass(temperature: float, top_p: float, expected: list[float]) -> None:
    np.testing.assert_allclose(nucleus(np.array([0.5, 0.3, 0.2]), temperature, top_p), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("data", "vocabulary", "order", "says"),
    [
        ([], 6, 5, "no token"),
        ([[]], 6, 5, "no token"),
        ([[6]], 6, 5, "outside"),
        ([[0]], 6_208, 5, "pack"),
        ([[0]], 6, 0, "pack"),
    ],
)
def test_what_cannot_be_counted_is_refused(data: list[list[int]], vocabulary: int, order: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        NgramModel.fit([np.array(s, dtype=np.int64) for s in data], vocabulary=vocabulary, order=order)


def test_the_largest_vocabulary_that_packs_works() -> None:
    model = NgramModel.fit([np.array([6_206, 0, 6_206])], vocabulary=6_207)
    assert model.probabilities([6_206]).sum() == pytest.approx(1.0)
