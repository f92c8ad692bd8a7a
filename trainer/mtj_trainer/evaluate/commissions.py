"""What is asked for: the job's requests, continuations of held-out pieces, and a study that only the figures use.

Invariant: the model and every baseline get the same commissions, in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mtj_api.spec import CompositionRequest
from mtj_trainer.evaluate.pieces import PreparedPiece
from mtj_trainer.evaluate.statistics import Statistics
from mtj_trainer.slug import slug
from mtj_trainer.tokens import Conditions, Tokenizer
from mtj_trainer.tokens.conditions import INSTRUMENT_SLOTS

PROMPT_BARS = 2
"""Bars of a held-out piece that a continuation keeps."""

CONTINUATION_BARS = 8
"""Bars of a continuation, those of the prompt included."""

STUDY_PIECES = 12
STUDY_BARS = 4
"""So many openings, with the conditions of held-out pieces, are compared with those pieces' own openings.

Few bars, because an untrained model fills each of them with hundreds of tokens.
"""

TEMPO_TOLERANCE = math.log(1.15)
"""A model is told the tempo to within a class that is 13 % wide, and writes it with tokens that are 3 % off."""


@dataclass(frozen=True)
class Commission:
    """A piece to compose.

    Attributes:
        name: the stem of its files.
        kind: ``request`` is composed from nothing, ``continuation`` goes on from a held-out piece, ``study`` is a
            request with the conditions of a held-out piece.
        title: what a person calls it.
        asked: the conditions.
        bars: its length, the prompt included.
        prompt: (T,) tokens that it begins with.
        track: the held-out piece that it was taken from.
    """

    name: str
    kind: Literal["request", "continuation", "study"]
    title: str
    asked: Conditions
    bars: int
    prompt: npt.NDArray[np.uint16] | None = None
    track: str | None = None


def requested(requests: Sequence[CompositionRequest]) -> list[Commission]:
    """The job's own requests."""
    commissions = []
    for number, request in enumerate(requests, start=1):
        instruments = tuple(request.instruments) if request.instruments is not None else None
        asked = Conditions(request.key, request.metre, request.tempo, instruments)
        words = [request.key, request.metre, f"{request.tempo:g} bpm" if request.tempo else None]
        title = ", ".join(word for word in words if word) or "anything"
        commissions.append(Commission(f"request-{number}-{slug(title)}", "request", title, asked, request.bars))
    return commissions


def continued(
    tokenizer: Tokenizer, pieces: Sequence[PreparedPiece], count: int, conditioning: frozenset[str], seed: int
) -> list[Commission]:
    """Continuations of ``count`` of the pieces (fewer where they are too short to leave anything to add)."""
    commissions: list[Commission] = []
    for piece in _shuffled(pieces, seed):
        if len(commissions) == count:
            break
        prompt = tokenizer.first_bars(piece.tokens, piece.conditions, PROMPT_BARS)
        if len(prompt) < len(piece.tokens):
            commissions.append(
                Commission(
                    name=f"continuation-{len(commissions) + 1}-{slug(piece.title)}",
                    kind="continuation",
                    title=piece.title,
                    asked=piece.conditions.only(conditioning),
                    bars=CONTINUATION_BARS,
                    prompt=prompt,
                    track=piece.track,
                )
            )
    return commissions


def studied(pieces: Sequence[PreparedPiece], conditioning: frozenset[str], seed: int) -> list[Commission]:
    """Openings under the conditions of held-out pieces."""
    return [
        Commission(
            f"study-{number}", "study", piece.title, piece.conditions.only(conditioning), STUDY_BARS, None, piece.track
        )
        for number, piece in enumerate(_shuffled(pieces, seed)[:STUDY_PIECES], start=1)
    ]


def openings(tokenizer: Tokenizer, pieces: Sequence[PreparedPiece], seed: int) -> list[npt.NDArray[np.uint16]]:
    """The first bars of as many pieces as a study has, the same pieces for the same seed."""
    return [
        tokenizer.first_bars(piece.tokens, piece.conditions, STUDY_BARS)
        for piece in _shuffled(pieces, seed)[:STUDY_PIECES]
    ]


def audible_conditions(tokenizer: Tokenizer) -> frozenset[str]:
    """The conditions that a tokenizer's music can meet or miss.

    On the grid, metre, tempo and instruments are not in the tokens: decoding takes them from the request, so that
    finding them there would prove nothing.
    """
    if tokenizer.settings()["tokenizer"] == "grid":
        return frozenset({"key"})
    return frozenset({"key", "metre", "tempo", "instruments"})


def matches(asked: Conditions, found: Statistics, audible: frozenset[str]) -> dict[str, bool]:
    """For each condition that was asked for and can be heard, whether the music has it."""
    result = {}
    if asked.key is not None:
        result["key"] = found.key is not None and _same_key(asked.key, found.key)
    if asked.metre is not None:
        result["metre"] = asked.metre == found.metre
    if asked.tempo is not None:
        near = found.tempo is not None and abs(math.log(found.tempo / asked.tempo)) <= TEMPO_TOLERANCE
        result["tempo"] = near
    if asked.instruments is not None:
        told = asked.instruments[:INSTRUMENT_SLOTS]
        result["instruments"] = set(told) <= set(found.programs) <= set(asked.instruments)
    return {name: value for name, value in result.items() if name in audible}


def _shuffled(pieces: Sequence[PreparedPiece], seed: int) -> list[PreparedPiece]:
    order = np.random.default_rng(seed).permutation(len(pieces))
    return [pieces[index] for index in order]


def _same_key(one: str, other: str) -> bool:
    return Conditions(key=one).transposed(0) == Conditions(key=other).transposed(0)
