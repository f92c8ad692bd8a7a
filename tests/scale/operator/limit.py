"""The API server's own limit: the writes that the operator made for a burst, made again without any controller.

What it made for one job is read back from the API server and written for each job of another burst, over as many
connections as the burst itself comes over: children first and in the operator's order, then what only tells. No
controller that writes the same can be faster.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace

from scale.operator.burst import Burst, burst
from scale.operator.client import CONNECTIONS, Api, Object, over_connections, path_of
from scale.operator.ours import music_training_job

_CHILDREN = (("v1", "ConfigMap"), ("v1", "Service"), ("batch/v1", "Job"))
_RESOURCE = ("training.discomusica.io/v1alpha1", "MusicTrainingJob")
_SET_BY_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
_SET_BY_JOBS = ("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name")


@dataclass(frozen=True)
class Writes:
    """What a controller writes for jobs, as text, in which one job's names and uid can be replaced by another's.

    Attributes:
        namespace, name, uid: of the job whose writes were recorded.
        children: objects to create, as path and body.
        events: the same.
        status: of the job.
    """

    namespace: str
    name: str
    uid: str
    children: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, str], ...]
    status: tuple[str, str]

    def of(self, made: Object) -> Writes:
        """The same for another job."""
        metadata = made["metadata"]
        new = {self.namespace: metadata["namespace"], self.name: metadata["name"], self.uid: metadata["uid"]}

        def renamed(pair: tuple[str, str]) -> tuple[str, str]:
            path, body = pair
            for old, name in new.items():
                path, body = path.replace(old, name), body.replace(old, name)
            return path, body

        return replace(
            self,
            children=tuple(map(renamed, self.children)),
            events=tuple(map(renamed, self.events)),
            status=renamed(self.status),
        )


async def recorded(api: Api, namespace: str, name: str) -> Writes:
    """What was written for a job that has its first children."""
    resource = json.loads(await api.request("GET", path_of(*_RESOURCE, namespace, name)))
    uid = resource["metadata"]["uid"]

    async def found(api_version: str, kind: str, query: str) -> tuple[tuple[str, str], ...]:
        items = await api.items(api_version, kind, namespace, query)
        return tuple((path_of(api_version, kind, namespace), json.dumps(_as_sent(item))) for item in items)

    of_job = f"?labelSelector=training.discomusica.io/job={name}"
    children = [one for kind in _CHILDREN for one in await found(*kind, of_job)]
    events = await found("v1", "Event", f"?fieldSelector=involvedObject.uid={uid}")
    status = (f"{path_of(*_RESOURCE, namespace, name)}/status", json.dumps({"status": resource["status"]}))
    return Writes(namespace, name, uid, tuple(children), events, status)


async def at_limit(load: Api, controller: Api, namespace: str, numbers: range, writes: Writes) -> Burst:
    """A burst of which each job gets its children by no controller."""
    jobs: asyncio.Queue[Writes] = asyncio.Queue()
    told: list[Writes] = []

    async def make_children() -> None:
        while True:
            one = await jobs.get()
            for path, body in one.children:
                await controller.request("POST", path, body)
            told.append(one)
            jobs.task_done()

    async def tell(one: Writes) -> None:
        for path, body in one.events:
            await controller.request("POST", path, body)
        path, body = one.status
        await controller.request("PATCH", path, body, "application/merge-patch+json")

    def created(made: Object) -> None:
        jobs.put_nowait(writes.of(made))

    async with asyncio.TaskGroup() as group:
        result = group.create_task(burst(load, namespace, music_training_job, numbers, statuses=True, created=created))
        makers = [group.create_task(make_children()) for _ in range(CONNECTIONS)]
        while len(told) < len(numbers):
            await asyncio.sleep(0.01)
        for maker in makers:
            maker.cancel()
        await over_connections(tell, told)
    return result.result()


def _as_sent(item: Object) -> Object:
    """An object without what the API server and the Job's own defaults have put into it."""
    item = {name: value for name, value in item.items() if name != "status"}
    item["metadata"] = {name: value for name, value in item["metadata"].items() if name not in _SET_BY_SERVER}
    if item["kind"] == "Job":
        item["spec"].pop("selector", None)
        labels = item["spec"]["template"]["metadata"]["labels"]
        for name in _SET_BY_JOBS:
            labels.pop(name, None)
    return item
