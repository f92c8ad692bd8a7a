"""Carrying out commissions with the model or with the n-gram baseline, and figures of what came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from symusic import Score

from mtj_api.spec import Sampling
from mtj_trainer.evaluate.commissions import Commission, audible_conditions, matches
from mtj_trainer.evaluate.compare import distances
from mtj_trainer.evaluate.ngram import NgramModel
from mtj_trainer.evaluate.statistics import Statistics, statistics
from mtj_trainer.families.symbolic import SymbolicModel, generate
from mtj_trainer.families.symbolic.generate import MAX_TOKENS_PER_BAR
from mtj_trainer.music import KEYS, key_correlations
from mtj_trainer.tokens import Conditions, Tokenizer

MANY_THREADS_FROM = 50_000_000
"""Parameters from which reading the weights takes so long that threads pay even for one token at a time."""

Tokens = npt.NDArray[np.uint16]
Composer = Callable[[Commission, int], Tokens]
"""Carries out a commission with a seed: the tokens of the whole piece, its prompt included."""


def model_composer(model: SymbolicModel, tokenizer: Tokenizer, sampling: Sampling) -> Composer:
    """Compose with a model."""

    def compose(commission: Commission, seed: int) -> Tokens:
        prompts = None if commission.prompt is None else [commission.prompt]
        with _threads_for(model):
            (tokens,) = generate(
                model,
                tokenizer,
                [commission.asked],
                commission.bars,
                prompts=prompts,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=seed,
            )
        return tokens

    return compose


def ngram_composer(model: NgramModel, tokenizer: Tokenizer, sampling: Sampling) -> Composer:
    """Compose with n-grams, which hear no conditions, under the same rules for the end and the same sampling."""

    def compose(commission: Commission, seed: int) -> Tokens:
        music = [] if commission.prompt is None else commission.prompt.tolist()
        limit = len(music) + commission.bars * MAX_TOKENS_PER_BAR
        draw = partial(model.continuation, temperature=sampling.temperature, top_p=sampling.top_p)
        for token in draw(np.random.default_rng(seed), music, allowed=tokenizer.sampleable):
            if len(music) >= limit or tokenizer.bars(np.array(music), commission.asked) >= commission.bars:
                break
            music.append(token)
        return tokenizer.first_bars(np.array(music, dtype=np.uint16), commission.asked, commission.bars)

    return compose


@contextmanager
def _threads_for(model: SymbolicModel) -> Iterator[None]:
    """One thread where a token is too little work for more.

    Threads that wait for each other at every small product cost a factor of thirty on a machine that does other
    work besides (measured with 1.8M parameters on 2 cores).
    """
    if sum(weights.numel() for weights in model.parameters()) >= MANY_THREADS_FROM:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Composition:
    """A commission carried out.

    Attributes:
        commission: what was asked.
        score: the music.
        found: its statistics.
        matches: for each condition asked that can be heard, whether it was met.
        prompt_beats: quarter notes at the beginning that were given, not composed.
    """

    commission: Commission
    score: Score
    found: Statistics
    matches: dict[str, bool]
    prompt_beats: float


def carry_out(
    composer: Composer,
    tokenizer: Tokenizer,
    commissions: Sequence[Commission],
    seed: int,
    done: Callable[[], None] = lambda: None,
) -> list[Composition]:
    """Compose each of the commissions, the n-th with the seed ``seed`` + n."""
    audible = audible_conditions(tokenizer)
    compositions = []
    for number, commission in enumerate(commissions):
        score = tokenizer.decode(composer(commission, seed + number), commission.asked)
        found = statistics(score)
        given = 0.0
        if commission.prompt is not None:
            given = statistics(tokenizer.decode(commission.prompt, commission.asked)).beats
        compositions.append(Composition(commission, score, found, matches(commission.asked, found, audible), given))
        done()
    return compositions


def request_figures(compositions: Sequence[Composition]) -> dict[str, float]:
    """How well requests were met; continuations do not count, since their opening was given.

    Returns:
        ``request.key.match`` and so on: share of the pieces that have what was asked. ``request.key.fit``: mean
        correlation of the pieces' pitch classes with the profile of the key asked, which chance brings near 0.
        A condition that no piece was asked for, or that could not be heard, has no figure.
    """
    asked = [piece for piece in compositions if piece.commission.kind != "continuation"]
    figures = {}
    for name in ("key", "metre", "tempo", "instruments"):
        met = [piece.matches[name] for piece in asked if name in piece.matches]
        if met:
            figures[f"request.{name}.match"] = float(np.mean(met))
    fits = [_key_fit(piece) for piece in asked if piece.commission.asked.key is not None]
    if fits:
        figures["request.key.fit"] = float(np.mean(fits))
    return figures


def study_figures(compositions: Sequence[Composition], heldout: Sequence[Statistics]) -> dict[str, float]:
    """How far the study's openings are from the held-out pieces' own; nothing where there is no study."""
    study = [piece.found for piece in compositions if piece.commission.kind == "study"]
    return distances(study, heldout) if study and heldout else {}


def opening_statistics(tokenizer: Tokenizer, openings: Sequence[Tokens]) -> list[Statistics]:
    """Statistics of real openings, read through the same tokens as composed ones."""
    return [statistics(tokenizer.decode(tokens, Conditions())) for tokens in openings]


def _key_fit(piece: Composition) -> float:
    key = piece.commission.asked.transposed(0).key
    assert key is not None
    return float(key_correlations(piece.found.pitch_classes)[KEYS.index(key)])
