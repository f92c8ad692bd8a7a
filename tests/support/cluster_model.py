"""A Kubernetes in memory: an API server, the Job controller, kubelets and garbage collection, as far as jobs need them.

Time goes in seconds, and only when ``tick`` is called. What pods do is told beforehand, by ``Fate``. Every own write
that changes something is counted, and the process that writes may be killed after any of them. What is observed may lag
behind what is. Invariant: the model refuses what two attempts at once would spoil.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from mtj_api.contract import ExitCode
from mtj_operator.plan.objects import Child
from mtj_operator.plan.objects.room import ROOM
from mtj_operator.plan.observed import Observed, Resource
from mtj_operator.plan.story import Decision
from support.fates import Fate, Fates
from support.model_children import SILENT_AFTER, Job, Pod, snapshot_of_job, snapshot_of_pod

START = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""

UID = "uid-of-this-job"


class KilledError(Exception):
    """The operator was killed after one of its writes."""


Lag = tuple[int, int, int]
"""By how many changes what is seen of the job itself, of Jobs and of pods is behind: each comes by its own watch."""


class ClusterModel:
    """A namespace with one MusicTrainingJob.

    Args:
        spec: of the job.
        fates: what becomes of its pods.
        lag: by how many changes what is observed of the job itself, of Jobs and of pods may be behind.
    """

    def __init__(self, spec: dict[str, Any], fates: Fates, lag: Lag = (0, 0, 0)) -> None:
        self.now = START
        self.spec = spec
        self.status: dict[str, Any] = {}
        self.generation = 1
        self.gone = False
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.jobs: dict[str, Job] = {}
        self.pods: list[Pod] = []
        self.events: dict[str, tuple[str, str]] = {}
        self.refusals: dict[str, str] = {}
        self.others: dict[str, Resource] = {}
        self.fates = fates
        self.writes: list[str] = []
        self.kill_at: int | None = None
        self._lag = lag
        self._cursors = [0, 0, 0]
        self._looks = 0
        self._uids = 0
        self._views: list[Observed] = [self._view()]

    # What the operator sees and does.

    def observe(self) -> Observed:
        """What is seen now. Each look shows one more change of what is behind, and every fourth shows all."""
        end, self._looks = len(self._views) - 1, self._looks + 1
        lags = self._lag if self._looks % 4 else (0, 0, 0)
        self._cursors = [min(end, max(at + 1, end - lag)) for at, lag in zip(self._cursors, lags, strict=True)]
        resource, jobs, pods = (self._views[cursor] for cursor in self._cursors)
        return replace(resource, jobs=jobs.jobs, pods=pods.pods, refusals=jobs.refusals)

    @property
    def all_seen(self) -> bool:
        """Whether nothing that is seen is behind."""
        return min(self._cursors) == len(self._views) - 1

    def carry_out(self, decision: Decision) -> bool:
        """Write what was decided, write by write; whether anything changed.

        Raises:
            KilledError: as was ordered, after a write.
        """
        before = len(self.writes)
        for child in decision.children:
            if not self._make(child):
                return len(self.writes) > before
        for deletion in decision.deletions:
            job = self.jobs.get(deletion.name)
            cut_off = [pod for pod in self.pods if (pod.name, "Pod") == (deletion.name, deletion.kind)]
            for pod in cut_off:
                if deletion.grace:
                    assert not pod.silent
                    self._tell_to_stop(pod)
                else:
                    assert pod.silent, f"{pod.name} is taken away from a node that may answer"
                    self.pods.remove(pod)
                self._wrote(f"delete {pod.name}")
            if job is not None and (job.uid, "Job") == (deletion.uid, deletion.kind):
                self.delete_job(deletion.name)
                self._wrote(f"delete {deletion.name}")
        for event in decision.events:
            if event.key not in self.events:
                self.events[event.key] = (event.reason, event.message)
                self._wrote(f"tell {event.key}")
        status = json.loads(decision.status.model_dump_json(by_alias=True, exclude_none=True))
        if status != self.status:
            self.status = status
            self._wrote("status")
        if decision.delete_resource and not self.gone:
            self.gone = True
            self._wrote("delete the job itself")
        return len(self.writes) > before

    def _make(self, child: Child) -> bool:
        """Make a child; false where somebody else's is in the way."""
        kind, metadata = child.object["kind"], child.object["metadata"]
        name, owner = metadata["name"], metadata["ownerReferences"][0]["uid"]
        assert owner == UID
        if kind == "Job" and name in self.jobs:
            return self.jobs[name].owner == UID
        if (kind, name) in self.objects:
            assert self.objects[kind, name] == child.object, f"{kind} {name} is made in two ways"
            return True
        if kind != "Job":
            self.objects[kind, name] = child.object
            self._wrote(f"make {kind} {name}")
            return True
        holds_room = metadata["labels"]["training.discomusica.io/stage"] == ROOM
        writers = [] if holds_room else [pod.name for pod in self.pods if _may_write(pod)]
        assert not writers, f"{name} is made while {writers} may still write"
        assert not [pod.name for pod in self.pods if pod.job.name == name], f"{name} would get the pods of another"
        spec, labels = child.object["spec"], metadata["labels"]
        self._uids += 1
        self.jobs[name] = Job(
            name=name,
            uid=f"uid-{self._uids}",
            owner=UID,
            stage=labels["training.discomusica.io/stage"],
            attempt=int(labels["training.discomusica.io/attempt"]),
            pods=spec["completions"],
            created=self.now,
            suspended=spec.get("suspend", False),
            headed="successPolicy" in spec,
        )
        self._wrote(f"make {kind} {name}")
        return True

    def _wrote(self, what: str) -> None:
        self.writes.append(what)
        self._look()
        if self.kill_at is not None and len(self.writes) >= self.kill_at:
            self.kill_at = None
            raise KilledError

    @property
    def views(self) -> int:
        """How often something changed."""
        return len(self._views)

    @property
    def busy(self) -> bool:
        """Whether something will happen by itself."""
        return any(pod.ripe for pod in self.pods)

    # What others do.

    def edit(self, **scheduling: Any) -> None:
        """Change the job's scheduling, as ``kubectl edit`` would."""
        self.spec = {**self.spec, "scheduling": {**self.spec.get("scheduling", {}), **scheduling}}
        self.generation += 1
        self._look()

    def show(self, **others: Resource) -> None:
        """Have these other jobs there, and none besides."""
        self.others = others
        self._look()

    def admit(self) -> None:
        """Let every Job start that a queue holds back."""
        for job in self.jobs.values():
            job.suspended = False
        self._look()

    def preempt(self) -> None:
        """Take their places from all Jobs that have not ended, as a queue does."""
        for job in self.jobs.values():
            job.suspended = job.suspended or job.ended is None
        self._look()

    def make_room(self) -> None:
        """Let every pod start that waits."""
        for pod in self.pods:
            pod.fate = replace(pod.fate, waiting=("", ""))
        fates = self.fates
        self.fates = lambda *of: replace(fates(*of), waiting=("", ""))

    def delete_job(self, name: str) -> None:
        """Delete a Job in the background: it is gone at once, and its pods are told to stop."""
        job = self.jobs.pop(name)
        for pod in self._pods_of(job):
            self._tell_to_stop(pod)
        self._look()

    def delete_jobs(self, count: int | None = None) -> None:
        """Delete the last Jobs, or all."""
        for name in list(self.jobs)[-(count or len(self.jobs)) :]:
            self.delete_job(name)

    def add_stranger(self, stage: str, owner: str = "uid-of-an-earlier-job") -> Job:
        """The first Job of an earlier job of the same name, with a pod that runs."""
        name = f"chorales-{stage}-1"
        job = Job(name, "uid-stranger", owner, stage, 1, 1, self.now, suspended=False, headed=False, made=1)
        self.jobs[name] = job
        self.pods.append(Pod(f"{name}-0-x", job, 0, Fate(code=None), "Running", self.now))
        self._look()
        return job

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass, and everybody do what is due."""
        self.now += seconds
        for pod in list(self.pods):
            self._kubelet(pod)
        for job in list(self.jobs.values()):
            self._controller(job)
        for pod in list(self.pods):
            if self.jobs.get(pod.job.name) is not pod.job:
                self._tell_to_stop(pod)
                if pod.stopped:
                    self.pods.remove(pod)
        self._look()

    def _kubelet(self, pod: Pod) -> None:
        fate = pod.fate
        if pod.lost and fate.silent and pod.started is not None:
            pod.silent = self.now >= pod.started + fate.after + SILENT_AFTER
        if pod.stopped or pod.lost:
            return
        if pod.phase == "Pending":
            if pod.deleted is not None:
                self._end(pod, *fate.stop)
            elif not fate.waiting[0]:
                pod.phase, pod.started = "Running", self.now
            return
        assert pod.started is not None
        due = self.now >= pod.started + fate.after
        if due and fate.lost:
            pod.lost, pod.disrupted = True, "TaintManagerEviction"
            self._tell_to_stop(pod)
        elif pod.deleted is not None:
            if self.now >= pod.deleted + fate.stops_after:
                self._end(pod, *fate.stop)
        elif due and fate.disrupted:
            pod.disrupted = fate.disrupted
            self._end(pod, *fate.stop)
        elif due and fate.code is not None:
            self._end(pod, fate.code, fate.message, fate.reason)

    def _end(self, pod: Pod, code: int, message: str, reason: str = "") -> None:
        pod.exit = (code, message, reason or ("Completed" if code == 0 else "Error"))
        pod.phase = "Succeeded" if code == 0 else "Failed"

    def _tell_to_stop(self, pod: Pod) -> None:
        if not pod.stopped and pod.deleted is None:
            pod.deleted = self.now

    def _controller(self, job: Job) -> None:
        if job.ended is not None:
            return
        pods = self._pods_of(job)
        alive = [pod for pod in pods if not pod.stopped]
        if not job.suspended:
            job.started = job.started or self.now
        self._verdict(job, pods)
        if job.state:
            for pod in alive:
                self._tell_to_stop(pod)
            if not alive:
                job.ended = self.now
                job.state = {"SuccessCriteriaMet": "Complete", "FailureTarget": "Failed"}[job.state]
            return
        if job.suspended:
            for pod in alive:
                self._tell_to_stop(pod)
            return
        busy = {pod.index for pod in pods if not pod.stopped or pod.phase == "Succeeded"} | job.failed_indexes
        for index in sorted(set(range(job.pods)) - busy):
            fate = self.fates(job.stage, job.attempt, index)
            self.pods.append(Pod(f"{job.name}-{index}-{job.made}", job, index, fate, created=self.now))
            job.made += 1

    def _verdict(self, job: Job, pods: list[Pod]) -> None:
        if job.state:
            return
        done = {pod.index for pod in pods if pod.phase == "Succeeded"}
        failed = [pod for pod in pods if pod.phase == "Failed"]
        wrong = next((pod for pod in failed if pod.exit and pod.exit[0] == ExitCode.WRONG_JOB), None)
        if (0 in done) if job.headed else (len(done) == job.pods):
            job.state = "SuccessCriteriaMet"
        elif wrong is not None or (failed and not job.headed):
            code = (wrong or failed[0]).exit or (1, "", "")
            by_policy = code[0] in (65, 69, 75) or failed[0].disrupted
            job.state, job.reason = "FailureTarget", "PodFailurePolicy" if by_policy else "BackoffLimitExceeded"
            job.message = f"Container stage for pod failed with exit code {code[0]} matching FailJob rule at index 0"
        elif job.headed:
            job.failed_indexes |= {pod.index for pod in failed if not pod.disrupted}
            if job.failed_indexes == set(range(job.pods)):
                job.state, job.reason = "FailureTarget", "FailedIndexes"

    # How it is seen.

    def _pods_of(self, job: Job) -> list[Pod]:
        return [pod for pod in self.pods if pod.job is job]

    def _look(self) -> None:
        view = self._view()
        if view != self._views[-1]:
            self._views.append(view)

    def _view(self) -> Observed:
        resource = Resource(
            namespace="music",
            name="chorales",
            uid=UID,
            generation=self.generation,
            version=str(len(self.writes)),
            created=START,
            spec=json.dumps(self.spec, sort_keys=True),
            status=json.dumps(self.status, sort_keys=True),
            deleted=self.gone,
        )
        return Observed(
            resource=resource,
            jobs=tuple(snapshot_of_job(job) for job in self.jobs.values()),
            pods=tuple(snapshot_of_pod(pod) for pod in self.pods),
            refusals=dict(self.refusals),
            others=dict(self.others),
        )

    def summary(self) -> dict[str, Any]:
        """All that there is at the end, without times."""
        return {
            "status": _timeless(self.status),
            "jobs": {job.name: (job.state, job.owner) for job in self.jobs.values()},
            "pods": sorted((pod.name, pod.phase) for pod in self.pods),
            "objects": self.objects,
            "events": {key: _timeless(event) for key, event in self.events.items()},
            "gone": self.gone,
        }


def _may_write(pod: Pod) -> bool:
    return not pod.stopped and not pod.lost and pod.job.state != "Complete" and pod.job.stage != ROOM


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if not key.endswith("Time") and key != "updated"}
    if isinstance(value, list | tuple):
        return [_timeless(one) for one in value]
    return value.rpartition(" at 20")[0] or value if isinstance(value, str) else value
