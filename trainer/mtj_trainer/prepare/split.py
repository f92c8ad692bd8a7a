"""Tracks divided among training, validation and test, without letting an artist or album lie on two sides.

Invariant: tracks that share a value of a field that is kept together are on one side, whatever the proportions.
The same tracks and seed always give the same split, in any order; a new track moves few others, because each
group of tracks has a fixed place on a line (a hash) and only the borders on that line move.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from mtj_api import JobError
from mtj_api.spec import Split

Side = Literal["train", "validation", "test"]
SIDES: tuple[Side, ...] = get_args(Side)

NOTABLE_SHORTFALL = 0.5
"""A side that gets less than this part of what it should have is worth a warning."""


@dataclass(frozen=True)
class Division:
    """Which side each track is on, and what a good colleague would say about it."""

    sides: dict[str, Side]
    warnings: tuple[str, ...]


def divide(tracks: Mapping[str, Mapping[str, Iterable[str]]], split: Split) -> Division:
    """Divide tracks by the proportions of ``split``.

    Args:
        tracks: for each track id its values of each field in ``split.keep_together``; a missing field or no
            value means that this field ties the track to no other.

    Raises:
        JobError: a side would be empty, since there are fewer than three tracks or groups of tracks.
    """
    groups = _groups(tracks, split.keep_together)
    if len(groups) < len(SIDES):
        raise _too_few(tracks, groups, split)
    shares: dict[Side, float] = {"train": split.train, "validation": split.validation, "test": split.test}
    targets = {side: share * len(tracks) for side, share in shares.items()}
    placed = _place(groups, targets, split.seed)
    sides = {track: side for side in SIDES for group in placed[side] for track in group}
    return Division(sides, tuple(_warnings(tracks, sides, targets, groups, split)))


def _groups(tracks: Mapping[str, Mapping[str, Iterable[str]]], fields: Iterable[str]) -> list[list[str]]:
    """Tracks that must stay together, directly or through others: union-find over shared values."""
    parent = {track: track for track in sorted(tracks)}

    def root(track: str) -> str:
        while parent[track] != track:
            parent[track] = parent[parent[track]]
            track = parent[track]
        return track

    owner: dict[tuple[str, Hashable], str] = {}
    for track in parent:
        for field in fields:
            for value in tracks[track].get(field, ()):
                name = value.strip().casefold()
                if name:
                    first = owner.setdefault((field, name), track)
                    parent[root(track)] = root(first)
    members: dict[str, list[str]] = defaultdict(list)
    for track in parent:
        members[root(track)].append(track)
    return list(members.values())


def _place(groups: list[list[str]], targets: dict[Side, float], seed: int) -> dict[Side, list[list[str]]]:
    """Lay the groups on a line by hash and cut it where the proportions say.

    A group that is larger than a held-out side goes to training before the rest is laid out: anywhere else
    it would take the place of everything.
    """
    placed: dict[Side, list[list[str]]] = {side: [] for side in SIDES}
    held_out = max(1.0, min(targets["validation"], targets["test"]))
    place = {id(group): min(_hash(seed, track) for track in group) for group in groups}
    line = sorted((group for group in groups if len(group) <= held_out), key=lambda group: place[id(group)])
    large = sorted(
        (group for group in groups if len(group) > held_out), key=lambda group: (len(group), place[id(group)])
    )
    while len(line) < len(SIDES) - 1:
        line.append(large.pop(0))
    placed["train"] = large
    room = {side: max(0.0, targets[side] - sum(map(len, placed[side]))) for side in SIDES}
    scale = sum(map(len, line)) / sum(room.values())
    begin = 0
    for group in line:
        middle = (begin + len(group) / 2) / scale
        side: Side = "train" if middle < room["train"] else "test"
        if room["train"] <= middle < room["train"] + room["validation"]:
            side = "validation"
        placed[side].append(group)
        begin += len(group)
    _fill_empty(placed)
    return placed


def _fill_empty(placed: dict[Side, list[list[str]]]) -> None:
    """Give each empty side the smallest group of the side with the most groups."""
    for side in SIDES:
        if not placed[side]:
            donor = max(SIDES, key=lambda other: len(placed[other]))
            smallest = min(reversed(placed[donor]), key=len)
            placed[donor].remove(smallest)
            placed[side].append(smallest)


def _hash(seed: int, track: str) -> str:
    return hashlib.sha256(f"{seed}:{track}".encode()).hexdigest()


def _too_few(tracks: Mapping[str, Mapping[str, Iterable[str]]], groups: list[list[str]], split: Split) -> JobError:
    if len(tracks) < len(SIDES):
        return JobError(
            f"{len(tracks)} usable track{'s' if len(tracks) != 1 else ''} cannot be divided into training, validation "
            "and test",
            where="spec.dataset",
            instead="give a source with at least 3 tracks",
        )
    fields = _tying_fields(tracks, groups, split)
    return JobError(
        f"all {len(tracks)} tracks hang together by {' and '.join(fields)} in {len(groups)} group"
        f"{'s' if len(groups) != 1 else ''}, so that a side of the split would be empty",
        where="spec.dataset.split.keepTogether",
        instead=_without(split, fields),
    )


def _tying_fields(
    tracks: Mapping[str, Mapping[str, Iterable[str]]], groups: list[list[str]], split: Split
) -> list[str]:
    """The fields without which there would be more groups; all of them where only together they tie."""
    alone = [f for f in split.keep_together if len(_groups(tracks, [f])) == len(groups)]
    return alone or list(split.keep_together)


def _without(split: Split, fields: list[str]) -> str:
    rest = [field for field in split.keep_together if field not in fields]
    return f"write keepTogether: [{', '.join(rest)}] to let them lie on several sides"


def _warnings(
    tracks: Mapping[str, Mapping[str, Iterable[str]]],
    sides: dict[str, Side],
    targets: dict[Side, float],
    groups: list[list[str]],
    split: Split,
) -> Iterable[str]:
    for side in SIDES:
        count = sum(1 for other in sides.values() if other == side)
        if count < NOTABLE_SHORTFALL * targets[side]:
            largest = max(map(len, groups))
            cause = ""
            if largest > 1:
                cause = (
                    f"; {largest} tracks hang together by {' and '.join(_tying_fields(tracks, groups, split))}: "
                    f"{_without(split, _tying_fields(tracks, groups, split))}"
                )
            yield f"{side} has {count} of {len(tracks)} tracks where {targets[side]:.0f} were asked for{cause}"
