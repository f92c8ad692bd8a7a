"""The n-gram baseline: interpolated modified Kneser-Ney smoothing, on the same tokens as the model.

Invariant: for any history the probabilities over the vocabulary are positive and sum to 1, so its negative
log-likelihood is comparable with the model's token by token.

Source: Chen & Goodman, An Empirical Study of Smoothing Techniques for Language Modeling (1999), section 3.
n-grams are packed into int64, most significant token first: dividing by the base drops the newest token, a
remainder drops the oldest. Counting is sorting, looking up is a binary search, and no Python loop runs over tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.integer]

BLOCK = 1 << 21
"""Tokens that are counted at a time: bounds the memory of sorting, whatever the size of the data."""

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""For counts 1, 2, and 3 and more, where data too small or too regular leave the estimate undefined (as KenLM)."""


@dataclass(frozen=True)
class _Level:
    """The n-grams of one order, ready to look up.

    Attributes:
        grams: (G,) packed n-grams, sorted.
        seen: (G,) discounted count of each over the count of its context.
        contexts: (C,) packed histories, sorted.
        held_back: (C,) the probability that discounting took and the next lower order distributes.
    """

    grams: Ints
    seen: Floats
    contexts: Ints
    held_back: Floats


class NgramModel:
    """An n-gram model over tokens 0 to ``vocabulary`` - 1.

    A sequence is preceded by ``order`` - 1 start marks, so that openings are learnt and every token is scored.
    """

    def __init__(self, order: int, vocabulary: int, levels: Sequence[_Level]) -> None:
        self.order = order
        self.vocabulary = vocabulary
        self._levels = tuple(levels)

    @classmethod
    def fit(cls, sequences: Iterable[Tokens], *, vocabulary: int, order: int = 5) -> NgramModel:
        """Count and smooth. Memory grows with the distinct n-grams (some 60 bytes each), not with the tokens.

        Args:
            sequences: (T,) tokens each; empty ones add nothing.

        Raises:
            ValueError: there is no token, a token lies outside the vocabulary, or order and vocabulary are too
                large to pack into 63 bits (order 5 holds 6,207 tokens).
        """
        base = vocabulary + 1
        if order < 1 or vocabulary < 1 or base**order >= 2**63:
            raise ValueError(f"cannot pack n-grams of order {order} over {vocabulary} tokens into 63 bits")
        grams, counts = _count(sequences, order, vocabulary)
        if not len(grams):
            raise ValueError("there is no token to count")
        levels = []
        for n in range(order, 0, -1):
            levels.append(_smooth(grams, counts, base))
            if n > 1:
                # Below the highest order an n-gram counts once for each different token seen before it.
                grams, counts = np.unique(grams % base ** (n - 1), return_counts=True)
        return cls(order, vocabulary, levels[::-1])

    def nll(self, tokens: Tokens) -> Floats:
        """The negative log-likelihood of each token after those before it: (T,) tokens to (T,) nats."""
        return np.asarray(-np.log(self._probability(_windows(tokens, self.order, self.vocabulary))))

    def most_probable(self, tokens: Tokens) -> Ints:
        """The most probable token at each place of a sequence, given those before it: (T,) to (T,)."""
        base = self.vocabulary + 1
        contexts, where = np.unique(_windows(tokens, self.order, self.vocabulary) // base, return_inverse=True)
        ever = self._levels[0].grams  # a token that was never seen is never the most probable one
        best = np.zeros(len(contexts), np.int64)
        rows = max(1, BLOCK // 16 // len(ever))
        for start in range(0, len(contexts), rows):
            some = contexts[start : start + rows]
            packed = (some[:, None] * base + ever).reshape(-1)
            best[start : start + rows] = ever[self._probability(packed).reshape(len(some), -1).argmax(axis=1)]
        return best[where]

    def probabilities(self, history: Sequence[int] | Tokens) -> Floats:
        """The distribution of the next token: (vocabulary,) positive numbers that sum to 1."""
        marked = [self.vocabulary] * (self.order - 1) + [int(token) for token in history]
        context = 0
        for token in marked[len(marked) - self.order + 1 :]:
            context = context * (self.vocabulary + 1) + token
        packed = context * (self.vocabulary + 1) + np.arange(self.vocabulary, dtype=np.int64)
        return self._probability(packed)

    def continuation(
        self,
        rng: np.random.Generator,
        prompt: Sequence[int] | Tokens = (),
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> Iterator[int]:
        """Tokens drawn one after the other after ``prompt``, without end: the caller says when to stop.

        Args:
            allowed: (vocabulary,) which tokens may be drawn; all of them by default.
        """
        history = [int(token) for token in prompt]
        while True:
            weights = self.probabilities(history[max(0, len(history) - self.order + 1) :])
            if allowed is not None:
                weights = np.where(allowed, weights, 0.0)
            token = int(rng.choice(self.vocabulary, p=nucleus(weights, temperature, top_p)))
            yield token
            history.append(token)

    def _probability(self, packed: Ints) -> Floats:
        base = self.vocabulary + 1
        probability = np.full(len(packed), 1.0 / self.vocabulary)
        for n, level in enumerate(self._levels, start=1):
            gram = packed % base**n
            context, known = _find(level.contexts, gram // base)
            place, seen = _find(level.grams, gram)
            here = np.where(seen, level.seen[place], 0.0) + level.held_back[context] * probability
            probability = np.where(known, here, probability)
        return probability


def nucleus(weights: Floats, temperature: float, top_p: float) -> Floats:
    """The distribution to draw from: sharpened by ``temperature``, cut to the smallest set with mass ``top_p``."""
    with np.errstate(divide="ignore"):
        logs = np.log(weights) / temperature
    sharpened = np.exp(logs - logs.max())
    sharpened /= sharpened.sum()
    if top_p < 1.0:
        order = np.argsort(-sharpened, kind="stable")
        before = np.cumsum(sharpened[order]) - sharpened[order]
        sharpened[order[before >= top_p]] = 0.0
        sharpened /= sharpened.sum()
    return np.asarray(sharpened)


def _count(sequences: Iterable[Tokens], order: int, vocabulary: int) -> tuple[Ints, Ints]:
    """The distinct n-grams of the highest order, sorted, and how often each occurs."""
    grams, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for block in _blocks(_windows(sequence, order, vocabulary) for sequence in sequences):
        found, times = np.unique(block, return_counts=True)
        merged, where = np.unique(np.concatenate([grams, found]), return_inverse=True)
        counts = np.bincount(where, np.concatenate([counts, times]), minlength=len(merged)).astype(np.int64)
        grams = merged
    return grams, counts


def _blocks(arrays: Iterable[Ints]) -> Iterator[Ints]:
    held: list[Ints] = []
    size = 0
    for array in arrays:
        held.append(array)
        size += len(array)
        if size >= BLOCK:
            yield np.concatenate(held)
            held, size = [], 0
    if held:
        yield np.concatenate(held)


def _windows(tokens: Tokens, order: int, vocabulary: int) -> Ints:
    """(T,) packed n-grams, the one that ends at each token, with start marks before the first."""
    sequence = np.asarray(tokens, dtype=np.int64)
    if len(sequence) and (sequence.min() < 0 or sequence.max() >= vocabulary):
        raise ValueError(f"a token lies outside 0 to {vocabulary - 1}")
    marked = np.concatenate([np.full(order - 1, vocabulary, np.int64), sequence])
    packed = np.zeros(len(sequence), np.int64)
    for offset in range(order):
        packed = packed * (vocabulary + 1) + marked[offset : offset + len(sequence)]
    return packed


def _smooth(grams: Ints, counts: Ints, base: int) -> _Level:
    """Discount the counts of one order, and note what each context holds back for the order below."""
    discounts = _discounts(counts)
    taken = discounts[np.minimum(counts, 3) - 1]
    contexts, starts = np.unique(grams // base, return_index=True)
    totals = np.add.reduceat(counts, starts)
    spread = np.repeat(totals, np.diff(np.append(starts, len(grams))))
    return _Level(grams, (counts - taken) / spread, contexts, np.add.reduceat(taken, starts) / totals)


def _discounts(counts: Ints) -> Floats:
    """(3,) what to take from counts 1, 2, and 3 and more (Chen & Goodman, equation 26)."""
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == times)) for times in (1, 2, 3, 4))
    if n1 == 0 or n2 == 0:
        return np.array(FALLBACK_DISCOUNTS)
    y = n1 / (n1 + 2 * n2)
    estimates = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3 if n3 else 0.0)
    usable = zip((1, 2, 3), estimates, FALLBACK_DISCOUNTS, strict=True)
    return np.array([estimate if 0 < estimate <= times else spare for times, estimate, spare in usable])


def _find(sorted_values: Ints, wanted: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Where each wanted value lies, and whether it is there (where it is not, the place means nothing)."""
    places = np.minimum(np.searchsorted(sorted_values, wanted), len(sorted_values) - 1)
    return places, sorted_values[places] == wanted
