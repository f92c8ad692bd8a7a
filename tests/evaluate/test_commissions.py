"""What is asked of a model, and when the music is what was asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtj_api.spec import CompositionRequest, MidiPreparation
from mtj_trainer.evaluate.commissions import (
    CONTINUATION_BARS,
    PROMPT_BARS,
    audible_conditions,
    continued,
    matches,
    openings,
    requested,
    studied,
)
from mtj_trainer.evaluate.pieces import PreparedPiece
from mtj_trainer.evaluate.statistics import statistics
from mtj_trainer.slug import slug
from mtj_trainer.tokens import Conditions, Tokenizer, make_tokenizer
from support.scores import chorale, score

ALL = frozenset({"key", "metre", "tempo", "instruments"})
KNOWN = Conditions("Cmaj", "4/4", 100.0, (0,))


@pytest.fixture(params=["grid", "remi"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return make_tokenizer(MidiPreparation(tokenizer=request.param, steps_per_beat=4))


def pieces(tokenizer: Tokenizer, *bars: int) -> list[PreparedPiece]:
    return [
        PreparedPiece(f"t{n}", f"Piece {n}", tokenizer.encode(chorale(bars=count)), KNOWN)
        for n, count in enumerate(bars)
    ]


def test_requests_are_named_by_number_and_content() -> None:
    asks = [CompositionRequest(key="F#min", metre="3/4", tempo=72.5, bars=16), CompositionRequest()]
    first, second = requested(asks)
    assert (first.name, first.bars) == ("request-1-f-sharp-min-3-4-72-5-bpm", 16)
    assert first.asked == Conditions("F#min", "3/4", 72.5, None)
    assert (second.name, second.asked) == ("request-2-anything", Conditions())


def test_continuations_keep_the_first_bars_and_say_whose_they_are(tokenizer: Tokenizer) -> None:
    heldout = pieces(tokenizer, 6, 6, 6)
    commissions = continued(tokenizer, heldout, 2, ALL, seed=3)
    assert len(commissions) == 2
    for commission in commissions:
        piece = next(piece for piece in heldout if piece.track == commission.track)
        assert commission.name.endswith(slug(piece.title))
        assert commission.prompt is not None
        assert statistics(tokenizer.decode(commission.prompt, KNOWN)).beats == PROMPT_BARS * 4
        assert commission.bars == CONTINUATION_BARS
    assert commissions[0].track != commissions[1].track
    again = continued(tokenizer, heldout, 2, ALL, seed=3)
    assert [commission.track for commission in again] == [commission.track for commission in commissions]


def test_pieces_with_nothing_after_the_prompt_are_passed_over(tokenizer: Tokenizer) -> None:
    heldout = pieces(tokenizer, 1, 2, 6)
    assert [commission.track for commission in continued(tokenizer, heldout, 3, ALL, seed=0)] == ["t2"]


def test_a_model_is_told_only_what_it_can_hear(tokenizer: Tokenizer) -> None:
    heldout = pieces(tokenizer, 6)
    for commission in [
        *continued(tokenizer, heldout, 1, frozenset({"key"}), 0),
        *studied(heldout, frozenset({"key"}), 0),
    ]:
        assert commission.asked == Conditions(key="Cmaj")


def test_study_and_openings_are_of_the_same_pieces(tokenizer: Tokenizer) -> None:
    heldout = [replace(piece, tokens=piece.tokens) for piece in pieces(tokenizer, 5, 6, 7, 8)]
    tracks = [commission.track for commission in studied(heldout, ALL, seed=1)]
    by_track = {piece.track: piece.tokens for piece in heldout}
    for track, opening in zip(tracks, openings(tokenizer, heldout, seed=1), strict=True):
        assert track is not None
        assert opening.tolist() == by_track[track][: len(opening)].tolist()


SCALE = [(float(n), 1.0, pitch) for n, pitch in enumerate((60, 64, 67, 72, 71, 69, 67, 65, 64, 62, 60, 60))]


@pytest.mark.parametrize(
    ("asked", "met"),
    [
        (Conditions(key="Cmaj"), {"key": True}),
        (Conditions(key="B#maj"), {"key": True}),
        (Conditions(key="Amin"), {"key": False}),
        (Conditions(metre="3/4"), {"metre": True}),
        (Conditions(metre="4/4"), {"metre": False}),
        (Conditions(tempo=100.0), {"tempo": True}),
        (Conditions(tempo=113.0), {"tempo": True}),
        (Conditions(tempo=125.0), {"tempo": False}),
        (Conditions(instruments=(40,)), {"instruments": True}),
        (Conditions(instruments=(40, 41)), {"instruments": False}),
        (Conditions(instruments=(41,)), {"instruments": False}),
        (Conditions(), {}),
    ],
)
def test_a_condition_is_met_when_the_music_has_it(asked: Conditions, met: dict[str, bool]) -> None:
    found = statistics(score(SCALE, metre=(3, 4), tempo=100.0, programs=[40]))
    assert matches(asked, found, ALL) == met


def test_on_the_grid_only_the_key_can_be_heard() -> None:
    grid = make_tokenizer(MidiPreparation(tokenizer="grid", steps_per_beat=4))
    found = statistics(score(SCALE))
    assert matches(KNOWN, found, audible_conditions(grid)).keys() == {"key"}
