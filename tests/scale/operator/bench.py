"""How fast and frugal the operator is, beside Kubeflow Trainer and the API server's limit: ``make bench-operator``.

Everything happens in one run on one API server, on two cores that all programs share: a burst of jobs for each
contender, then a cluster full of jobs for the operator alone. No pod runs, and no controller of Kubernetes itself,
which is the same for all. Prints a table in Markdown, and all of it as one JSON object on its last line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from scale.bench import rows
from scale.operator.burst import Burst, burst
from scale.operator.client import Api
from scale.operator.kubeflow import kubeflow, train_job
from scale.operator.limit import at_limit, recorded
from scale.operator.machine import Machine
from scale.operator.ours import Operator, music_training_job
from scale.operator.programs import Program
from scale.operator.resident import populate
from scale.operator.writes import writes
from support import kubernetes_api
from support.kubernetes_api import ApiServer

CORES = 2
BURST = range(1000)
WARM_UP = range(90_000, 90_020)
RESIDENT = 10_000
TRICKLE, TRICKLE_A_SECOND = 200, 10
IDLE_SECONDS = 60

_SETTLE_SECONDS = 3
_OURS = (
    ("training.discomusica.io/v1alpha1", "MusicTrainingJob"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("batch/v1", "Job"),
)
_THEIRS = (("trainer.kubeflow.org/v1alpha1", "TrainJob"), ("jobset.x-k8s.io/v1alpha2", "JobSet"), *_OURS[1:])

Figures = dict[str, Any]


class Bench:
    """The measurements, in their order.

    Attributes:
        figures: what was found so far.
    """

    def __init__(self, server: ApiServer, folder: Path, api: Api) -> None:
        self.figures: Figures = {}
        self._server = server
        self._folder = folder
        self._api = api
        self._operator = Operator(server, folder / "operator")

    async def run(self) -> None:
        """All of them, each told as soon as it is known."""
        machine = Machine()
        for name in ("burst-ours", "burst-limit", "burst-kubeflow", "resident"):
            self._server.kubectl("create", "namespace", name)
        await self._bursts()
        await self._full_cluster()
        self._tell("machine", {"cores": CORES, "taken_by_others": machine.share_of_others()})

    async def _bursts(self) -> None:
        """The same burst for each contender; nothing of one is left when the next begins."""
        async with self._operator.running() as program:
            await self._operator.ready(program)
            ours = await self._burst("ours", [program])
        model = await recorded(self._api, "burst-ours", "b00000")
        await self._clear("burst-ours", _OURS)

        async with Api(self._server.kubeconfig) as controller:
            limit = await at_limit(self._api, controller, "burst-limit", BURST, model)
        self._tell("burst.limit", _times(limit))
        await self._clear("burst-limit", _OURS)

        async with kubeflow(self._server, self._folder / "kubeflow") as programs:
            theirs = await self._burst("kubeflow", programs)
        await self._clear("burst-kubeflow", _THEIRS)

        ratios = {
            "kubeflow_p99_over_ours": theirs.wait(0.99) / ours.wait(0.99),
            "kubeflow_all_over_ours": theirs.all_seen / ours.all_seen,
            "ours_p99_over_limit": ours.wait(0.99) / limit.wait(0.99),
            "ours_all_over_limit": ours.all_seen / limit.all_seen,
            "ours_told_over_limit": ours.told / limit.told,
        }
        self._tell("burst.ratio", ratios)

    async def _burst(self, name: str, programs: Sequence[Program]) -> Burst:
        """The burst of a contender, whose programs have done a little work before."""
        document = music_training_job if name == "ours" else train_job
        namespace = f"burst-{name}"
        await burst(self._api, namespace, document, WARM_UP)
        await asyncio.sleep(_SETTLE_SECONDS)
        before, cpu = await writes(self._api), sum(program.cpu_seconds() for program in programs)
        found = await burst(self._api, namespace, document, BURST, statuses=name == "ours")
        cost = {
            "cpu_s": sum(program.cpu_seconds() for program in programs) - cpu,
            "memory_mb": sum(program.memory_mb() for program in programs),
            "writes_a_job": (await writes(self._api) - before).total() / len(BURST) - 1,
        }
        self._tell(f"burst.{name}", _times(found) | cost)
        return found

    async def _full_cluster(self) -> None:
        """Ten thousand jobs: what it takes to know them, to start anew, to wait, and to serve one more."""
        states = await populate(self._api, self._server.etcd_url, "resident", RESIDENT, self._operator.cluster_settings)
        self._tell("resident.jobs", states)
        async with self._operator.running() as program:
            await self._all_known(program, RESIDENT)
        before = await writes(self._api)
        async with self._operator.running() as program:
            begin = time.perf_counter()
            await self._all_known(program, RESIDENT)
            known = time.perf_counter() - begin
            await asyncio.sleep(_SETTLE_SECONDS)
            made = (await writes(self._api) - before).total()
        async with self._operator.running() as program:
            new = range(RESIDENT, RESIDENT + 1)
            served = await burst(self._api, "resident", music_training_job, new)
            self._tell("restart", {"serves_a_new_job_s": served.wait(1.0), "knows_all_s": known, "writes": made})
            await self._all_known(program, RESIDENT + 1)
            await asyncio.sleep(_SETTLE_SECONDS)
            cpu = program.cpu_seconds()
            await asyncio.sleep(IDLE_SECONDS)
            idle = (program.cpu_seconds() - cpu) / IDLE_SECONDS
            self._tell("idle", {"cores": idle, "memory_mb": program.memory_mb()})
            numbers = range(RESIDENT + 1, RESIDENT + 1 + TRICKLE)
            found = await burst(self._api, "resident", music_training_job, numbers, a_second=TRICKLE_A_SECOND)
            self._tell(
                "one_by_one", {"a_second": TRICKLE_A_SECOND, "p50_s": found.wait(0.5), "p99_s": found.wait(0.99)}
            )
            self._tell("resident", {"peak_memory_mb": program.peak_memory_mb()})

    async def _all_known(self, program: Program, count: int) -> None:
        """Return once the operator has looked at each job."""
        await self._operator.ready(program)
        while (await self._operator.metrics())["mtj_operator_jobs"] < count:
            program.check()
            await asyncio.sleep(1)  # each question costs the operator some time of its own

    async def _clear(self, namespace: str, kinds: Sequence[tuple[str, str]]) -> None:
        for api_version, kind in kinds:
            await self._api.delete_all(api_version, kind, namespace)

    def _tell(self, name: str, figures: Figures) -> None:
        for row, value in rows(figures, name):
            self.figures[row] = value
            print(f"| {row} | {value if isinstance(value, str) else format(value, ',.4g')} |", flush=True)


def _times(found: Burst) -> Figures:
    times = {"p50_s": found.wait(0.5), "p99_s": found.wait(0.99), "all_s": found.all_seen, "created_s": found.created}
    return times | ({"told_s": found.told} if found.told else {})


async def main() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    print("| figure | value |\n| --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as path, kubernetes_api.running(Path(path) / "api", gangs=False) as server:
        async with Api(server.kubeconfig) as api:
            bench = Bench(server, Path(path), api)
            await bench.run()
    print(json.dumps(bench.figures))


if __name__ == "__main__":
    asyncio.run(main())
