"""Of what several sources tell of the same objects, the cache keeps the latest."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtj_operator.control.cache import Cache, Entry, Store
from mtj_operator.control.snapshots import Key

CHORALES = Key("music", "chorales")
OTHER = Key("speech", "chorales")


def entry(name: str = "a", uid: str = "u", version: int = 1, snapshot: str = "", key: Key = CHORALES) -> Entry[str]:
    return Entry(key, name, uid, version, snapshot)


@pytest.fixture
def store() -> Store[str]:
    return Store()


def everywhere(_: Key) -> bool:
    return True


def test_what_is_new_is_a_change(store: Store[str]) -> None:
    assert store.put(entry(snapshot="new"))
    assert store.of(CHORALES) == ("new",)


def test_the_same_version_again_is_no_change(store: Store[str]) -> None:
    store.put(entry(version=2, snapshot="own write"))
    assert not store.put(entry(version=2, snapshot="its event"))


def test_a_version_that_changes_nothing_that_matters_is_no_change(store: Store[str]) -> None:
    store.put(entry(version=1, snapshot="same"))
    assert not store.put(entry(version=2, snapshot="same"))
    assert not store.put(entry(version=1, snapshot="older"))


def test_an_earlier_version_does_not_come_back(store: Store[str]) -> None:
    store.put(entry(version=5, snapshot="later"))
    assert not store.put(entry(version=4, snapshot="earlier"))
    assert store.of(CHORALES) == ("later",)


def test_what_was_deleted_does_not_come_back(store: Store[str]) -> None:
    store.put(entry(version=1))
    assert store.drop(CHORALES, "a", "u")
    assert not store.put(entry(version=9))
    assert store.of(CHORALES) == ()
    assert store.is_gone("u", 9)


def test_what_is_labelled_again_is_known_again(store: Store[str]) -> None:
    store.put(entry(version=1))
    assert store.drop(CHORALES, "a", "u", 2)
    assert not store.put(entry(version=2))
    assert store.put(entry(version=3, snapshot="labelled again"))
    assert not store.drop(CHORALES, "a", "u", 2)
    assert store.of(CHORALES) == ("labelled again",)


def test_a_namesake_is_another_object(store: Store[str]) -> None:
    store.put(entry(uid="old", version=1))
    store.put(entry(uid="new", version=2))
    assert not store.drop(CHORALES, "a", "old")
    assert len(store) == 1


def test_a_list_replaces_what_is_older_and_tells_what_vanished(store: Store[str]) -> None:
    store.put(entry("stays", "1", 1, "same"))
    store.put(entry("changes", "2", 1, "before", OTHER))
    store.put(entry("vanishes", "3", 1, "x", Key("music", "third")))
    listed = [entry("stays", "1", 1, "same"), entry("changes", "2", 4, "after", OTHER)]
    assert store.replace(listed, 5, everywhere) == {OTHER, Key("music", "third")}
    assert set(store.keys()) == {CHORALES, OTHER}


def test_a_list_leaves_what_is_later_than_it(store: Store[str]) -> None:
    store.put(entry("made meanwhile", "4", 9))
    assert store.replace([], 5, everywhere) == set()
    assert len(store) == 1


def test_a_list_of_one_namespace_leaves_the_others(store: Store[str]) -> None:
    store.put(entry("elsewhere", "5", 1, key=OTHER))
    store.replace([], 5, lambda key: key.namespace == "music")
    assert list(store.keys()) == [OTHER]


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["put", "drop"])), max_size=12), st.randoms())
def test_in_whatever_order_the_sources_speak_the_end_is_the_same(
    told: list[tuple[int, str]], shuffled: random.Random
) -> None:
    """Objects have uids; each has versions; a deletion hides those up to its own."""

    def outcome(order: list[tuple[int, str]]) -> tuple[object, ...]:
        store: Store[str] = Store()
        for version, what in order:
            if what == "put":
                store.put(entry(version=version, snapshot=str(version)))
            else:
                store.drop(CHORALES, "a", "u", version)
        return store.of(CHORALES)

    assert outcome(told) == outcome(shuffled.sample(told, len(told)))


def test_a_job_without_resource_is_not_observed() -> None:
    assert Cache().observe(CHORALES) is None


def test_a_reason_is_kept_until_it_no_longer_holds() -> None:
    cache = Cache()
    cache.refuse(CHORALES, "chorales-train-1", "quota")
    assert cache.refusals == {CHORALES: {"chorales-train-1": "quota"}}
    cache.refuse(CHORALES, "chorales-train-1", "")
    assert cache.refusals == {}


def test_the_cache_is_in_step_once_all_children_are_listed() -> None:
    cache = Cache()
    cache.jobs.synced = True
    assert not cache.synced
    cache.pods.synced = True
    assert cache.synced
