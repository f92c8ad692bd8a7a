"""A cluster full of jobs, as an operator, controllers and kubelets would have left them.

One job of each state is written by way of the API server. What that then has in etcd is copied there, with other names
and uids of the same lengths: ten thousand jobs with their children in seconds. To the API server, and to whoever asks
it, a copy is an object like any other.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator
from itertools import islice
from typing import get_args

import aiohttp

from mtj_operator.plan.settings import ClusterSettings
from scale.operator.burst import name_of
from scale.operator.client import Api, Object
from scale.operator.lives import JOB_UID, UID, Life, State, play, state_of

_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_A_TIME = 64
"""Copies that are written at once; etcd takes up to 128."""

Stored = dict[bytes, bytes]
"""Keys and values of etcd."""


async def populate(api: Api, etcd: str, namespace: str, count: int, settings: ClusterSettings) -> dict[str, int]:
    """Have ``count`` jobs with their children and statuses; how many of each state.

    Args:
        etcd: the URL of the API server's etcd.
        settings: the operator's.
    """
    await api.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    )
    numbers = {state: [n for n in range(count) if state_of(n) == state] for state in get_args(State)}
    async with aiohttp.ClientSession(etcd) as session:
        for state, (first, *others) in numbers.items():
            await _write(api, play(namespace, name_of(first), state, settings, time.time()))
            model = await _stored(session, name_of(first))
            copies = (pair for n in others for pair in _copy(model, name_of(first), name_of(n)))
            while some := tuple(islice(copies, _A_TIME)):
                await _put(session, some)
    return {state: len(those) for state, those in numbers.items()}


async def _write(api: Api, life: Life) -> None:
    """Write a job by way of the API server, which has to find nothing wrong with it."""
    new = {UID: (await api.create(_as_sent(life.resource, {})))["metadata"]["uid"]}
    for child in life.children:
        await api.create(_as_sent(child, new))
    new[JOB_UID] = (await api.create(_as_sent(life.job, new)))["metadata"]["uid"]
    for pod in life.pods:
        await api.create(_as_sent(pod, new))
    for document in (*life.pods, life.job, life.resource):
        await api.patch_status(document, document["status"])


def _as_sent(document: Object, new: dict[str, str]) -> Object:
    """What a document is created with."""
    chosen = ("name", "namespace", "labels", "annotations", "ownerReferences")
    sent = {name: value for name, value in document.items() if name != "status"}
    sent["metadata"] = {name: value for name, value in document["metadata"].items() if name in chosen}
    text = json.dumps(sent)
    for old, uid in new.items():
        text = text.replace(old, uid)
    found: Object = json.loads(text)
    return found


async def _stored(etcd: aiohttp.ClientSession, name: str) -> Stored:
    """All objects whose names begin with a job's."""
    body = {"key": _encoded(b"/registry/"), "range_end": _encoded(b"/registry0")}
    found = json.loads(await _call(etcd, "range", body))
    pairs = ((base64.b64decode(pair["key"]), base64.b64decode(pair["value"])) for pair in found["kvs"])
    return {key: value for key, value in pairs if f"/{name}".encode() in key}


def _copy(model: Stored, old: str, new: str) -> Iterator[tuple[bytes, bytes]]:
    """The objects of another job. All lengths stay the same, as most objects are stored as protocol buffers."""
    uids = {uid: str(uuid.uuid4()).encode() for value in model.values() for uid in _UUID.findall(value)}
    for key, value in model.items():
        copied = _UUID.sub(lambda found: uids[found[0]], value.replace(old.encode(), new.encode()))
        yield key.replace(old.encode(), new.encode()), copied


async def _put(etcd: aiohttp.ClientSession, pairs: tuple[tuple[bytes, bytes], ...]) -> None:
    puts = [{"requestPut": {"key": _encoded(key), "value": _encoded(value)}} for key, value in pairs]
    await _call(etcd, "txn", {"success": puts})


async def _call(etcd: aiohttp.ClientSession, what: str, body: Object) -> str:
    async with etcd.post(f"/v3/kv/{what}", json=body) as answer:
        answer.raise_for_status()
        return await answer.text()


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()
