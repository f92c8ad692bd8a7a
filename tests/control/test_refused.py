"""What a look comes to where the API server refuses a write: the status says why, and what is over goes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mtj_api.status import CheckpointStatus, JobStatus
from mtj_operator.control import snapshots
from mtj_operator.control.cache import Cache, Entry
from mtj_operator.control.client import ApiError, UnreachableError
from mtj_operator.control.intake import Intake
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.reconcile import Reconciler, RefusedError, Turn
from mtj_operator.control.rights import JOB, Kind
from mtj_operator.control.snapshots import Key, Raw
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from mtj_operator.plan.story import decide
from mtj_operator.plan.story.clock import rfc3339
from mtj_operator.plan.story.elastic import FIRST_GROWTH
from support.sightings import NOW, UID, failed, job, pod, resource, status, train
from support.stories import SETTINGS, spec

CHORALES = Key("music", "chorales")


def patched(value: Any, patch: Any) -> Any:
    """A JSON merge patch carried out."""
    if not isinstance(patch, dict):
        return patch
    merged = value if isinstance(value, dict) else {}
    merged = {**merged, **{name: patched(merged.get(name), one) for name, one in patch.items()}}
    return {name: one for name, one in merged.items() if one is not None}


class Server:
    """An API server, as far as a look writes to it, with a job and its children.

    Attributes:
        refused: what it answers to the making, annotation and deletion of children, by their names, and to a
            ``status``.
        marked: the pods that were to be annotated, with what the status said by then.
        quota: how many Jobs there may be.
        status: of the job.
    """

    def __init__(self, before: JobStatus | None, spec: dict[str, Any], *children: JobSnapshot | PodSnapshot) -> None:
        self.refused: dict[str, ApiError | UnreachableError] = {}
        self.marked: list[tuple[str, str]] = []
        self.quota = 100
        self.spec = spec
        self.status: Any = json.loads(resource(**({"status": before} if before else {})).status)
        self.cache = Cache()
        self._version = 0
        self.cache.resources.put(Entry(CHORALES, "chorales", UID, 0, snapshots.resource(self._raw())))
        for child in children:
            if isinstance(child, JobSnapshot):
                self.cache.jobs.put(Entry(CHORALES, child.name, child.uid, 0, child))
            else:
                self.cache.pods.put(Entry(CHORALES, child.name, child.name, 0, child))

    @property
    def jobs(self) -> list[str]:
        return [one.name for one in self.cache.jobs.of(CHORALES)]

    async def create(self, kind: Kind, body: Raw, *, due: float) -> Raw:
        name = body["metadata"]["name"]
        if name in self.refused:
            raise self.refused[name]
        if kind is JOB and len(self.jobs) >= self.quota:
            raise ApiError(403, "Forbidden", "exceeded quota: count/jobs.batch")
        return {**body, "metadata": {**body["metadata"], **self._metadata(name)}}

    apply = create

    async def delete(self, kind: Kind, key: Key, uid: str, *, grace: int | None, due: float) -> None:
        if key.name in self.refused:
            raise self.refused[key.name]
        self.cache.jobs.drop(CHORALES, key.name, uid)

    async def annotate(self, kind: Kind, key: Key, uid: str, annotations: Raw, *, due: float) -> Raw:
        self.marked.append((key.name, self.status.get("state", "")))
        if key.name in self.refused:
            raise self.refused[key.name]
        await asyncio.Event().wait()
        raise AssertionError("nothing ends this wait")

    async def patch_status(self, key: Key, uid: str, changes: Raw, *, due: float) -> Raw:
        if "status" in self.refused:
            raise self.refused["status"]
        self.status = patched(self.status, changes)
        return self._raw()

    def _raw(self) -> Raw:
        metadata = {"namespace": "music", "name": "chorales", "generation": 1, **self._metadata("chorales"), "uid": UID}
        return {"metadata": metadata, "spec": self.spec, "status": self.status}

    def _metadata(self, name: str) -> dict[str, str]:
        self._version += 1
        return {
            "uid": f"uid-of-{name}",
            "resourceVersion": str(self._version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }


def look(server: Server) -> Turn:
    """A whole look at the job.

    Raises:
        RefusedError: a child was refused.
    """
    metrics = Metrics()
    intake = Intake(server.cache, lambda key, **_: None, metrics, lambda: 0.0)
    looks = Reconciler(server.cache, intake, server, decide, SETTINGS, metrics, lambda: NOW)  # type: ignore[arg-type]

    async def whole() -> Turn:
        turn = await looks.act(CHORALES)
        assert turn is not None
        await looks.tell(turn)
        return turn

    return asyncio.run(whole())


@pytest.mark.parametrize("child", ["chorales-job", "chorales-prepare-1"])
@pytest.mark.parametrize("code", [403, 500, 503, 504])
def test_the_status_says_why_a_child_cannot_be_made_until_it_can(child: str, code: int) -> None:
    server = Server(None, spec())
    server.refused[child] = ApiError(code, "", 'failed calling webhook "images.example.com"')
    with pytest.raises(RefusedError):
        look(server)
    assert server.status["state"] == "Pending"
    assert f'{child} cannot be made: failed calling webhook "images.example.com"' in server.status["message"]
    server.refused.clear()
    look(server)
    assert server.jobs == ["chorales-prepare-1"]
    look(server)
    assert "webhook" not in server.status["message"]


def test_a_server_that_asks_for_patience_has_not_refused_anything() -> None:
    server = Server(None, spec())
    server.refused["chorales-prepare-1"] = ApiError(429, "TooManyRequests", "too many requests")
    with pytest.raises(ApiError):
        look(server)
    assert server.status == {}


def test_a_job_does_not_wait_for_a_quota_that_its_own_attempts_of_old_use_up() -> None:
    over = train("Retrying", 2, retries=2, retry_time=rfc3339(NOW))
    server = Server(status(over), spec(), failed(attempt=1), failed(attempt=2))
    server.quota = 2
    for jobs in (["chorales-train-1", "chorales-train-2"], ["chorales-train-2"]):
        with pytest.raises(RefusedError):
            look(server)
        assert server.jobs == jobs
        assert "exceeded quota" in server.status["message"]
    look(server)
    assert server.jobs == ["chorales-train-2", "chorales-train-3"]


def test_what_cannot_be_deleted_keeps_nobody_from_being_told_how_the_job_is() -> None:
    server = Server(status(train("Retrying", retry_time=rfc3339(NOW - 60))), spec(), job())
    server.refused["chorales-train-1"] = ApiError(500, "InternalError", 'failed calling webhook "policy.example.com"')
    with pytest.raises(RefusedError, match=r'the Job chorales-train-1 cannot be deleted: .*"policy\.example\.com"'):
        look(server)
    assert "waits for chorales-train-1 to be deleted" in server.status["message"]
    server.refused.clear()
    look(server)
    assert server.jobs == []


@pytest.mark.parametrize(("reason", "known"), [("NotFound", False), ("", True)], ids=["is gone", "is not served"])
def test_a_job_is_forgotten_where_it_is_gone_and_not_where_its_kind_is_not_served_just_then(
    reason: str, known: bool
) -> None:
    server = Server(None, spec())
    server.refused["status"] = ApiError(404, reason, "the API server answered 404")
    if known:
        with pytest.raises(ApiError):
            look(server)
    else:
        look(server)
    assert (server.cache.resource(CHORALES) is not None) == known


TRAINING = status(train("Pending"), checkpoint=CheckpointStatus(step=400, url="s3://music/out/checkpoints/400"))


@pytest.mark.parametrize(
    ("answer", "tried"),
    [
        (ApiError(500, "InternalError", 'failed calling webhook "policy.example.com"'), 1),
        (UnreachableError("TimeoutError"), 1),
        (None, 1),
        (ApiError(404, "NotFound", "the pod is gone"), 2),
    ],
    ids=["refused", "no answer", "too slow", "gone"],
)
def test_pods_that_cannot_be_annotated_hold_up_neither_the_status_nor_the_look(
    answer: ApiError | UnreachableError | None, tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtj_operator.control.reconcile._MARK_WITHIN", 0.01)
    server = Server(TRAINING, spec(), job(), pod(), pod(1))
    if answer is not None:
        server.refused = {f"chorales-train-1-{index}": answer for index in range(2)}
    look(server)
    assert server.marked == [(f"chorales-train-1-{index}", "Running") for index in range(tried)]


def test_a_training_runs_on_where_room_for_more_nodes_cannot_be_looked_for() -> None:
    short = {"nodes": 2, "reason": "no node takes chorales-train-1-3", "grow_time": rfc3339(NOW)}
    wanted = spec(training={"nodes": 4, "minNodes": 1, "batch": {"size": 24}})
    server = Server(status(train(elastic=short)), wanted, job(pods=2), pod(0), pod(1))
    server.quota = 1
    turn = look(server)
    assert turn.decision.requeue_after == FIRST_GROWTH
    assert server.status["state"] == "Running"
    assert "room for more cannot be looked for: the Job chorales-room-1" in server.status["message"]
    server.quota = 2
    look(server)
    assert server.jobs == ["chorales-room-1", "chorales-train-1"]
    look(server)
    assert "room" not in server.status["message"]
