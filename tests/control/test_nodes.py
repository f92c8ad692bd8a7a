"""Which nodes are asked for, and what is made of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mtj_operator.control.cache import Cache, Entry
from mtj_operator.control.client import ApiError
from mtj_operator.control.nodes import Nodes, is_silent
from mtj_operator.control.rights import Kind
from mtj_operator.control.snapshots import Key
from mtj_operator.plan.observed import PodSnapshot

CHORALES = Key("music", "chorales")


def node(ready: str) -> dict[str, Any]:
    return {
        "status": {"conditions": [{"type": "MemoryPressure", "status": "Unknown"}, {"type": "Ready", "status": ready}]}
    }


@pytest.mark.parametrize(
    ("found", "silent"),
    [
        pytest.param(node("True"), False, id="ready"),
        pytest.param(node("False"), False, id="says itself that it is not"),
        pytest.param(node("Unknown"), True, id="says nothing"),
        pytest.param({}, False, id="has said nothing yet"),
    ],
)
def test_a_node_is_silent_when_kubernetes_does_not_know_how_it_fares(found: dict[str, Any], silent: bool) -> None:
    assert is_silent(found) == silent


class Cluster:
    """Nodes by name, as a client reads them while it may; ``asked`` are those that it was asked for."""

    def __init__(self, **nodes: Mapping[str, Any]) -> None:
        self.nodes = nodes
        self.may_read = True
        self.asked: list[str] = []

    async def get(self, kind: Kind, key: Key) -> Mapping[str, Any]:
        assert (kind.name, key.namespace) == ("Node", "")
        self.asked.append(key.name)
        if not self.may_read:
            raise ApiError(403, "Forbidden", "nodes is forbidden")
        if key.name not in self.nodes:
            raise ApiError(404, "NotFound", "there is none")
        return self.nodes[key.name]


class Watched:
    """A cache with pods, and what asks after their nodes."""

    def __init__(self, cluster: Cluster) -> None:
        self.cache = Cache()
        self.marked: list[Key] = []
        self._nodes = Nodes(self.cache, cluster, self.marked.append)  # type: ignore[arg-type]
        self._version = 0

    def put(self, name: str, on: str, *, deleted: bool = True, phase: str = "Running") -> None:
        self._version += 1
        pod = PodSnapshot(name, "chorales-train-1", "train", 1, 0, phase, node=on, deleted=deleted, uid=name)
        self.cache.pods.put(Entry(CHORALES, name, name, self._version, pod))

    async def run_until(self, holds: Callable[[], bool]) -> None:
        """Look again and again."""
        running = asyncio.create_task(self._nodes.run())
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0)
        running.cancel()

    def look(self) -> set[str]:
        """The nodes that are held to be silent after a look."""
        asyncio.run(self._nodes.look())
        return self.cache.silent


def test_only_nodes_that_a_pod_is_about_to_leave_are_asked_for() -> None:
    cluster = Cluster(a=node("Unknown"), b=node("True"))
    watched = Watched(cluster)
    watched.put("stays", "a", deleted=False)
    watched.put("has-ended", "a", phase="Failed")
    watched.put("is-nowhere", "", phase="Pending")
    assert watched.look() == set()
    assert cluster.asked == []
    watched.put("leaves", "b")
    assert watched.look() == set()
    assert cluster.asked == ["b"]


@pytest.mark.parametrize("nodes", [{"a": node("Unknown")}, {}], ids=["does not answer", "is gone"])
def test_a_silent_node_is_told_of_once_until_it_answers(nodes: dict[str, Any]) -> None:
    cluster = Cluster(**nodes)
    watched = Watched(cluster)
    watched.put("leaves", "a")
    assert watched.look() == watched.look() == {"a"}
    assert watched.marked == [CHORALES]
    cluster.nodes = {"a": node("True")}
    assert watched.look() == set()
    assert watched.marked == [CHORALES, CHORALES]


def test_a_node_that_no_pod_leaves_any_more_is_forgotten() -> None:
    watched = Watched(Cluster())
    watched.put("leaves", "a")
    assert watched.look() == {"a"}
    watched.cache.pods.drop(CHORALES, "leaves", "leaves")
    assert watched.look() == set()


def test_while_nodes_may_not_be_read_none_is_silent_and_they_are_asked_for_again_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mtj_operator.control.nodes.EVERY", 0.0)
    cluster = Cluster(a=node("Unknown"))
    watched = Watched(cluster)
    watched.put("leaves", "a")
    assert watched.look() == {"a"}
    cluster.may_read, cluster.asked = False, []
    asyncio.run(watched.run_until(lambda: len(cluster.asked) == 3))
    assert watched.cache.silent == set()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "may not read nodes, so pods of lost nodes are waited for longer"
    ]
    cluster.may_read = True
    asyncio.run(watched.run_until(lambda: watched.cache.silent == {"a"}))
