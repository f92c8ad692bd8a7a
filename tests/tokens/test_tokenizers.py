"""Both tokenizers keep one contract; what each keeps of a score is said apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_api.spec import MidiPreparation
from mtj_trainer.prepare.midi import clean
from mtj_trainer.prepare.quarantine import Unusable
from mtj_trainer.tokens import Conditions, Tokenizer, load_tokenizer, make_tokenizer
from mtj_trainer.tokens.tokenizer import dump_tokenizer
from support.scores import chorale, score

SETTINGS = {
    "grid": MidiPreparation(tokenizer="grid", steps_per_beat=4),
    "remi": MidiPreparation(tokenizer="remi", steps_per_beat=8),
}
COMMON = Conditions("Cmaj", "4/4", 100.0, (0,))


@pytest.fixture(params=SETTINGS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return make_tokenizer(SETTINGS[request.param])


def encoded(tokenizer: Tokenizer, **how: object) -> np.ndarray:
    steps = tokenizer.settings()["steps_per_beat"]
    assert isinstance(steps, int)
    return tokenizer.encode(clean(chorale(**how), steps))  # type: ignore[arg-type]


def notes(of: object) -> set[tuple[float, int]]:
    """(start in quarters, pitch) of every note."""
    quarters = of.ticks_per_quarter  # type: ignore[attr-defined]
    return {(note.start / quarters, note.pitch) for track in of.tracks for note in track.notes}  # type: ignore[attr-defined]


def test_what_is_stored_makes_the_same_tokenizer(tokenizer: Tokenizer) -> None:
    again = load_tokenizer(dump_tokenizer(tokenizer))
    assert again.settings() == tokenizer.settings()
    assert np.array_equal(encoded(again), encoded(tokenizer))


def test_a_tokenizer_of_another_version_is_refused(tokenizer: Tokenizer) -> None:
    size = str(tokenizer.size)
    with pytest.raises(ValueError, match="another version"):
        load_tokenizer(dump_tokenizer(tokenizer).replace(size, "7"))


def test_every_onset_comes_back(tokenizer: Tokenizer) -> None:
    decoded = tokenizer.decode(encoded(tokenizer), COMMON)
    assert notes(decoded) == notes(chorale())


def test_an_upbeat_keeps_its_place_in_the_bar(tokenizer: Tokenizer) -> None:
    decoded = tokenizer.decode(encoded(tokenizer, upbeat=True), COMMON)
    assert min(start for start, _ in notes(decoded)) == 3.0


def test_tokens_lie_in_the_vocabulary_and_may_be_sampled(tokenizer: Tokenizer) -> None:
    tokens = encoded(tokenizer)
    assert tokens.dtype == np.uint16
    assert tokenizer.sampleable[tokens].all()
    assert not tokenizer.sampleable[[tokenizer.pad, tokenizer.begin, tokenizer.end]].any()


def test_conditions_are_a_prefix_of_fixed_length_outside_the_music(tokenizer: Tokenizer) -> None:
    lengths = set()
    for conditions in (Conditions(), COMMON, Conditions("F#min", "12/8", 250.0, (1, 2, 3, 128, 5))):
        prefix = tokenizer.prefix(conditions)
        lengths.add(len(prefix))
        assert not tokenizer.sampleable[prefix].any()
        assert max(prefix) < tokenizer.size
    assert len(lengths) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Conditions(key="Dbmaj"), Conditions(key="C#maj")),
        (Conditions(instruments=(40, 0)), Conditions(instruments=(0, 40))),
        (Conditions(metre="17/16"), Conditions()),
    ],
)
def test_conditions_that_mean_the_same_say_the_same(tokenizer: Tokenizer, one: Conditions, other: Conditions) -> None:
    assert tokenizer.prefix(one) == tokenizer.prefix(other)


@given(semitones=st.integers(-12, 12))
@settings(deadline=None, max_examples=25)
def test_transposing_music_transposes_every_note(semitones: int) -> None:
    for name in SETTINGS:
        tokenizer = make_tokenizer(SETTINGS[name])
        moved = tokenizer.decode(tokenizer.transpose(encoded(tokenizer), semitones), COMMON)
        assert notes(moved) == {(start, pitch + semitones) for start, pitch in notes(chorale())}


def test_transposing_at_the_edge_stays_within_the_range(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.transpose(tokenizer.transpose(encoded(tokenizer, root=90), 12), 12)
    pitches = {pitch for _, pitch in notes(tokenizer.decode(tokens, COMMON))}
    assert max(pitches) <= 108


def test_bars_are_counted_and_cut(tokenizer: Tokenizer) -> None:
    tokens = encoded(tokenizer, bars=6)
    opening = tokenizer.first_bars(tokens, COMMON, 2)
    assert max(start for start, _ in notes(tokenizer.decode(opening, COMMON))) == 7.0
    assert tokenizer.bars(tokens, COMMON) >= 5
    assert tokenizer.bars(opening, COMMON) <= 2


@given(cut=st.integers(0, 200))
@settings(deadline=None, max_examples=50)
def test_features_of_a_token_follow_from_the_tokens_before_it(cut: int) -> None:
    for name in SETTINGS:
        tokenizer = make_tokenizer(SETTINGS[name])
        tokens = encoded(tokenizer, upbeat=True)
        whole = tokenizer.features(tokens, COMMON)
        assert whole.shape == (len(tokens) + 1, len(tokenizer.feature_sizes))
        cut = min(cut, len(tokens))
        assert np.array_equal(tokenizer.features(tokens[:cut], COMMON), whole[: cut + 1])
        assert (whole < np.array(tokenizer.feature_sizes).reshape(1, -1)).all()


def test_the_grid_knows_voice_place_hold_and_pitch() -> None:
    tokenizer = make_tokenizer(SETTINGS["grid"])
    tokens = encoded(tokenizer, upbeat=True)
    features = tokenizer.features(tokens, COMMON)
    # The upbeat is a quarter: four steps from step 12 of the bar, then step 0 of the first full one.
    assert features[1:18, 0].tolist() == [1, 2, 3, 4] * 4 + [1]
    assert features[1:18:4, 1].tolist() == [13, 14, 15, 16, 1]
    assert features[1:22:4, 2].tolist() == [0, 1, 2, 3, 4, 1]
    assert features[5, 3] == tokens[1]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (score([(0, 4, 60)], [(0, 4, 64)]), "voices"),
        (score([(0, 4, 120)], [(0, 4, 64)], [(0, 4, 60)], [(0, 4, 50)]), "range"),
    ],
)
def test_the_grid_refuses_what_it_cannot_say(wrong: object, reason: str) -> None:
    with pytest.raises(Unusable) as refused:
        make_tokenizer(SETTINGS["grid"]).encode(wrong)
    assert refused.value.reason == reason
