"""Asks after the nodes of pods that should go and do not: a node that is gone, or does not answer, never lets them go.

Nodes are not watched: there may be thousands, and each says something every few seconds. Only those that a pod of ours
is about to leave are asked for, one by one, while it does. Invariant: a node counts as silent only while the API server
says so; where it will not say (the right to read nodes may be left out), nothing is known, and the pods' own time is
waited for (``plan/story/seen.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mtj_operator.control.cache import Cache
from mtj_operator.control.client import ApiError, Client, UnreachableError
from mtj_operator.control.log import Log
from mtj_operator.control.rights import NODE
from mtj_operator.control.snapshots import Key, Raw
from mtj_operator.plan.story.seen import has_stopped

EVERY = 5.0
"""Seconds between two looks."""

_AT_ONCE = 100
"""Nodes asked for in a look; the others come next."""

_LONGEST_PAUSE = 300.0
"""Seconds until nodes are asked for again where that is not allowed, in the end: an API server that has just started
refuses much until it knows the roles."""

_FORBIDDEN, _GONE = 403, 404


class Nodes:
    """Keeps ``Cache.silent``.

    Args:
        cache: the pods, and where silent nodes go.
        client: reads nodes.
        mark: called with the key of each job for which something changed.
    """

    def __init__(self, cache: Cache, client: Client, mark: Callable[[Key], None]) -> None:
        self._cache = cache
        self._client = client
        self._mark = mark
        self._log = Log("nodes")
        self._asked: dict[str, None] = {}

    async def run(self) -> None:
        """Do it for ever, but ever less often while it is not allowed."""
        told, pause = False, EVERY
        while True:
            await asyncio.sleep(pause)
            try:
                await self.look()
                pause = EVERY
            except (ApiError, UnreachableError) as error:
                if not isinstance(error, ApiError) or error.status != _FORBIDDEN:
                    self._log.warn("could not read a node", error=error)
                    continue
                self._cache.silent.clear()
                if not told:
                    self._log.warn("may not read nodes, so pods of lost nodes are waited for longer", error=error)
                told, pause = True, min(_LONGEST_PAUSE, 2 * pause)

    async def look(self) -> None:
        """Ask for each node that a pod is about to leave, those first that were not asked for yet.

        Raises:
            ApiError: a node cannot be read.
            UnreachableError: no answer.
        """
        leaving: dict[str, set[Key]] = {}
        for entry in self._cache.pods:
            pod = entry.snapshot
            if pod.deleted and pod.node and not has_stopped(pod):
                leaving.setdefault(pod.node, set()).add(entry.key)
        self._cache.silent &= leaving.keys()
        asked = [node for node in self._asked if node in leaving]
        for node in [*(leaving.keys() - self._asked.keys()), *asked][:_AT_ONCE]:
            self._asked.pop(node, None)
            self._asked[node] = None
            silent = await self._is_silent(node)
            if silent == (node in self._cache.silent):
                continue
            self._log.say("does not answer" if silent else "answers again", node=node)
            self._cache.silent ^= {node}
            for key in leaving[node]:
                self._mark(key)
        self._asked = {node: None for node in self._asked if node in leaving}

    async def _is_silent(self, node: str) -> bool:
        try:
            return is_silent(await self._client.get(NODE, Key("", node)))
        except ApiError as error:
            if error.status != _GONE:
                raise
            return True


def is_silent(node: Raw) -> bool:
    """Whether a node's kubelet has said nothing for so long that Kubernetes does not know how it fares.

    One that says of itself that it is not ready is not meant: it still ends its pods.
    """
    conditions = node.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "Unknown" for one in conditions)
