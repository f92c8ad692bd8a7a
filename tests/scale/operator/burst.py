"""A burst: many resources created as fast as the API server takes them, and how soon each has its first child Job.

The same code puts the same load on every contender. A resource's time begins when its creation is sent and ends when
a watch tells of its Job, both by this process's clock.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from scale.operator.client import Api, Object, over_connections

MOST_SECONDS = 240


@dataclass
class Burst:
    """What became of a burst; times are seconds since its begin.

    Attributes:
        sent: by name of the resource, when its creation was sent.
        seen: by name of the resource, when its first Job was seen.
        created: when the last resource had been created.
        told: when the last resource had a status.
    """

    sent: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    created: float = 0.0
    told: float = 0.0

    def wait(self, share: float) -> float:
        """Seconds within which this share of the resources got their Job."""
        return quantile([self.seen[name] - self.sent[name] for name in self.sent], share)

    @property
    def all_seen(self) -> float:
        """When each had its Job."""
        return max(self.seen.values())


def quantile(values: list[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def name_of(number: int) -> str:
    """Of a resource; no name begins another, so that children can be told apart by what their names begin with."""
    return f"b{number:05d}"


async def burst(
    api: Api,
    namespace: str,
    resource: Callable[[str, str], Object],
    numbers: range,
    *,
    a_second: float | None = None,
    statuses: bool = False,
    created: Callable[[Object], object] = lambda _made: None,
) -> Burst:
    """Create resources and wait until each has a Job.

    Args:
        resource: makes the document of a resource from its namespace and name.
        numbers: of the resources.
        a_second: creates so many a second, instead of as many as the API server takes.
        statuses: whether to wait for their first statuses too.
        created: is told of each resource when it exists.

    Raises:
        TimeoutError: not all had what is waited for in time.
    """
    result = Burst()
    documents = {name_of(number): resource(namespace, name_of(number)) for number in numbers}
    one = next(iter(documents.values()))
    begin = time.perf_counter()

    async def create(place: int, name: str) -> None:
        if a_second is not None:
            await asyncio.sleep(begin + place / a_second - time.perf_counter())
        result.sent[name] = time.perf_counter() - begin
        created(await api.create(documents[name]))
        result.created = time.perf_counter() - begin

    async def see(api_version: str, kind: str, what: str) -> dict[str, float]:
        """When the first such event told of an object of each resource."""
        seen: dict[str, float] = {}
        async with api.watch(api_version, kind, namespace) as events:
            watching.release()
            async for event, name in events:
                of = name.split("-")[0]
                if event == what and of in documents and of not in seen:
                    seen[of] = time.perf_counter() - begin
                    if len(seen) == len(documents):
                        break
        return seen

    watching = asyncio.Semaphore(0)
    async with asyncio.timeout(MOST_SECONDS), asyncio.TaskGroup() as group:
        jobs = group.create_task(see("batch/v1", "Job", "ADDED"))
        told = group.create_task(see(one["apiVersion"], one["kind"], "MODIFIED")) if statuses else None
        for _ in range(1 + statuses):
            await watching.acquire()
        begin = time.perf_counter()
        await over_connections(lambda item: create(*item), enumerate(documents))
    result.seen = jobs.result()
    result.told = max(told.result().values()) if told else 0.0
    return result
