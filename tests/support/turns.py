"""Which test runs when, and where, when several processes share the tests.

- A file's tests run in one process, so that what they share is made once; those of ``tests/cluster`` do all, because
  they share the machine's cluster.
- Slow files come first, so that none of them is what everybody waits for at the end. The cluster, which takes longest,
  is in their middle: there may have been a build for it in the meantime, and there is enough left to do beside it.
  What needs parts of that build comes at the very end.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from xdist.scheduler import LoadScopeScheduling

CLUSTER = "tests/cluster"
BUILT = frozenset({"api_server", "cluster", "helm"})
"""Fixtures whose programs are built before they can be made, which takes minutes for the first time."""

_BUILD_SECONDS = 1800


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Gives the files to processes in the order of collection, and the folder of the cluster's as one."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def unit(nodeid: str) -> str:
    """What is run in one process."""
    file = nodeid.partition("::")[0]
    return CLUSTER if file.startswith(CLUSTER) else file


def in_turn(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests unit by unit, in the order in which these are best begun."""
    units: dict[str, list[pytest.Item]] = {}
    for item in items:
        units.setdefault(unit(item.nodeid), []).append(item)
    ordered = sorted((name for name in units if name != CLUSTER), key=lambda name: _turn(units[name]))
    if CLUSTER in units:
        slow = [name for name in ordered if _turn(units[name]) == 0]
        ordered.insert(len(slow) // 2, CLUSTER)
    return [item for name in ordered for item in units[name]]


def allow_for_build(items: Iterable[pytest.Item]) -> None:
    """What may have to wait for a build is slow; the first such test of every unit is given the time for it."""
    waiting = set()
    for item in filter(_needs_build, items):
        item.add_marker(pytest.mark.slow)
        if unit(item.nodeid) not in waiting:
            waiting.add(unit(item.nodeid))
            item.add_marker(pytest.mark.timeout(_BUILD_SECONDS), append=False)


def _turn(tests: list[pytest.Item]) -> int:
    if any(map(_needs_build, tests)):
        return 2
    return 0 if any(test.get_closest_marker("slow") for test in tests) else 1


def _needs_build(item: pytest.Item) -> bool:
    return not BUILT.isdisjoint(getattr(item, "fixturenames", ()))
