"""The split: no artist on two sides, the proportions asked for, and the same sides again tomorrow."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtj_api import JobError
from mtj_api.spec import Split
from mtj_trainer.prepare.split import SIDES, Division, divide

Tracks = dict[str, dict[str, tuple[str, ...]]]

names = st.sampled_from(["", "Ann", "ann ", "Bo", "Cy", "Di", "Ed"])
tracks_with_artists = st.lists(st.tuples(names, names, st.sampled_from(["", "x", "y", "z"])), max_size=80).map(
    lambda rows: {
        f"t{number}": {"artist": tuple(filter(None, (one, two))), "album": (album,) if album else ()}
        for number, (one, two, album) in enumerate(rows)
    }
)
splits = st.builds(
    lambda validation, test, seed: Split(train=1 - validation - test, validation=validation, test=test, seed=seed),
    st.floats(0.01, 0.45),
    st.floats(0.01, 0.45),
    st.integers(0, 5),
)


def alone(count: int) -> Tracks:
    return {f"t{number}": {} for number in range(count)}


def counts(division: Division) -> list[int]:
    return [sum(side == other for other in division.sides.values()) for side in SIDES]


@given(tracks_with_artists, splits)
def test_what_is_kept_together_is_never_on_two_sides_and_no_side_is_empty(tracks: Tracks, split: Split) -> None:
    try:
        division = divide(tracks, split)
    except JobError:
        return
    assert division.sides.keys() == tracks.keys()
    assert min(counts(division)) > 0
    sides: dict[tuple[str, str], set[str]] = {}
    for track, values in tracks.items():
        for field, texts in values.items():
            for text in texts:
                sides.setdefault((field, text.strip().lower()), set()).add(division.sides[track])
    assert all(len(found) == 1 for found in sides.values())


@given(tracks_with_artists, splits, st.randoms())
def test_the_same_tracks_in_any_order_give_the_same_sides(tracks: Tracks, split: Split, random: random.Random) -> None:
    shuffled = dict(random.sample(list(tracks.items()), len(tracks)))
    try:
        expected = divide(tracks, split)
    except JobError:
        return
    assert divide(shuffled, split).sides == expected.sides


@given(st.integers(3, 400), splits)
def test_proportions_are_met_to_a_track(count: int, split: Split) -> None:
    got = counts(divide(alone(count), split))
    wanted = [split.train * count, split.validation * count, split.test * count]
    assert all(abs(g - max(1.0, w)) <= 2 for g, w in zip(got, wanted, strict=True))


def test_a_new_track_moves_few_others() -> None:
    before = divide(alone(400), Split()).sides
    after = divide(alone(401), Split()).sides
    assert sum(before[track] != after[track] for track in before) <= 2


def test_another_seed_gives_another_split() -> None:
    assert divide(alone(100), Split(seed=1)).sides != divide(alone(100), Split(seed=2)).sides


@pytest.mark.parametrize("largest", [5, 20, 60, 79])
def test_a_prolific_artist_goes_to_training_and_the_rest_still_fills_the_other_sides(largest: int) -> None:
    tracks: Tracks = alone(100) | {f"big{number}": {"artist": ("Ann",)} for number in range(largest)}
    train, validation, test = counts(divide(tracks, Split()))
    total = 100 + largest
    assert validation == pytest.approx(total / 10, abs=largest if largest <= total / 10 else 1)
    assert test == pytest.approx(total / 10, abs=largest if largest <= total / 10 else 1)
    assert train == total - validation - test


def test_one_artist_for_all_is_refused_with_what_to_write() -> None:
    tracks: Tracks = {f"t{n}": {"artist": ("Bach",), "album": (f"album {n}",)} for n in range(9)}
    with pytest.raises(JobError) as caught:
        divide(tracks, Split())
    assert str(caught.value) == (
        "spec.dataset.split.keepTogether: all 9 tracks hang together by artist in 1 group, so that a side of the split "
        "would be empty; write keepTogether: [album] to let them lie on several sides"
    )


def test_too_few_tracks_are_refused() -> None:
    with pytest.raises(JobError, match="2 usable tracks cannot be divided"):
        divide(alone(2), Split())


def test_a_side_that_comes_out_much_smaller_is_said() -> None:
    tracks: Tracks = alone(2) | {f"big{number}": {"artist": ("Ann",)} for number in range(98)}
    division = divide(tracks, Split())
    assert counts(division) == [98, 1, 1]
    assert division.warnings[0] == (
        "validation has 1 of 100 tracks where 10 were asked for; 98 tracks hang together by artist: "
        "write keepTogether: [album] to let them lie on several sides"
    )


def test_without_fields_to_keep_together_artists_may_lie_on_all_sides() -> None:
    tracks: Tracks = {f"t{n}": {"artist": ("Bach",)} for n in range(30)}
    assert min(counts(divide(tracks, Split(keep_together=[])))) > 0
