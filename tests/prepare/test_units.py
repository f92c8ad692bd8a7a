"""Units: grouped by content, so that one changed file never causes others to be prepared again."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtj_api.spec import AudioPreparation, MidiPreparation
from mtj_trainer.prepare.units import FILES_A_UNIT, Unit, plan_units, sort_sources
from mtj_trainer.storage import Entry

keys = st.text(alphabet="abcdé /0", min_size=1, max_size=8).map(lambda stem: f"{stem.strip(' /') or 'x'}")
entries_by_key = st.dictionaries(
    st.tuples(keys, st.sampled_from([".mid", ".wav", ".ogg"])).map("".join),
    st.integers(0, 50_000_000),
    max_size=60,
).map(lambda sizes: [Entry(key, size, "v1") for key, size in sizes.items()])


def units_of(
    entries: list[Entry], midi: MidiPreparation | None = None, audio: AudioPreparation | None = None
) -> list[Unit]:
    midi = midi or MidiPreparation(steps_per_beat=8)
    return plan_units(sort_sources(entries, ["audio", "midi"]), audio or AudioPreparation(), midi)


def hashes(units: list[Unit]) -> set[str]:
    return {unit.hash for unit in units}


@given(entries_by_key)
def test_every_file_is_in_one_unit_of_its_modality(entries: list[Entry]) -> None:
    units = units_of(entries)
    assert Counter(entry for unit in units for entry in unit.entries) == Counter(entries)
    assert all(entry.key.endswith(".mid") == (unit.modality == "midi") for unit in units for entry in unit.entries)


@given(entries_by_key, st.randoms())
def test_the_order_of_listing_does_not_matter(entries: list[Entry], random: random.Random) -> None:
    shuffled = random.sample(entries, len(entries))
    assert units_of(shuffled) == units_of(entries)


@given(entries_by_key.filter(bool), st.data())
def test_a_file_that_comes_goes_or_changes_touches_at_most_two_units(entries: list[Entry], data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(entries))
    without = [entry for entry in entries if entry != one]
    changed = [*without, Entry(one.key, one.size, "v2")]
    before, after = hashes(units_of(without)), hashes(units_of(entries))
    assert len(after - before) <= 2
    assert len(before - after) <= 1
    assert len(hashes(units_of(changed)) - after) == 1


def test_units_hold_about_sixteen_small_files() -> None:
    units = units_of([Entry(f"{number}.mid", 5_000, "1") for number in range(4_000)])
    assert len(units) == pytest.approx(4_000 / FILES_A_UNIT, rel=0.2)


def test_long_recordings_are_units_of_their_own() -> None:
    assert len(units_of([Entry(f"{number}.wav", 60_000_000, "1") for number in range(50)])) == 50


ENTRIES = [Entry("a.mid", 5, "1"), Entry("a.wav", 5, "1")]


@pytest.mark.parametrize(
    ("settings", "redone"),
    [
        ({"midi": MidiPreparation(steps_per_beat=4)}, {"midi"}),
        ({"midi": MidiPreparation(steps_per_beat=8, voices=3)}, set()),  # read by the grid alone
        ({"midi": MidiPreparation(steps_per_beat=8, velocity_bins=4)}, {"midi"}),
        ({"audio": AudioPreparation(sample_rate=16_000)}, {"audio"}),
        ({"audio": AudioPreparation(features=["mel"])}, {"audio"}),
    ],
)
def test_a_setting_redoes_only_what_it_bears_on(settings: dict, redone: set[str]) -> None:  # type: ignore[type-arg]
    before = hashes(units_of(ENTRIES))
    assert {unit.modality for unit in units_of(ENTRIES, **settings) if unit.hash not in before} == redone


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("a b/é.MP3", "audio"),
        ("x.mid", "midi"),
        ("x.MIDI", "midi"),
        ("metadata.csv", "metadata"),
        ("deep/metadata.jsonl", "metadata"),
        ("cover.jpg", "skipped"),
        ("noextension", "skipped"),
        ("._x.mp3", "skipped"),
        (".trash/x.mp3", "skipped"),
    ],
)
def test_files_are_told_apart_by_name(key: str, kind: str) -> None:
    sources = sort_sources([Entry(key, 1, "1")], ["audio", "midi"])
    assert [entry.key for entry in getattr(sources, kind)] == [key]


def test_a_modality_that_is_not_asked_for_is_skipped() -> None:
    sources = sort_sources(ENTRIES, ["midi"])
    assert [entry.key for entry in sources.skipped] == ["a.wav"]
