"""What the operator sees of a job on a cluster: snapshots of its resource, its Jobs and its pods, cut to what matters.

Invariant: plain immutable values. Whoever reads the API server makes them; whoever decides only reads them. Times
are seconds since 1970, or ``None`` for what has not happened.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Resource:
    """A MusicTrainingJob.

    Attributes:
        spec, status: as the API server has them, as JSON text: what 10,000 of them take in memory matters.
        deleted: whether it is on its way out.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    version: str
    created: float
    spec: str
    status: str
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A child Job: one attempt at a stage.

    Attributes:
        owner: uid of the MusicTrainingJob that controls it; empty where none does.
        started: when its controller took it up.
        ended: when it succeeded or failed.
        succeeded, failed: whether it has ended so; both false while it is under way.
        failing: whether it will fail as soon as its pods are gone.
        reason: of its failure, as its condition has it.
        message: of its failure.
        failed_indexes: indexes that failed, in a Job that tells them apart.
        suspended: whether it is held back, as Kueue does.
        deleted: whether it is on its way out.
    """

    name: str
    uid: str
    owner: str
    stage: str
    attempt: int
    pods: int
    created: float
    started: float | None = None
    ended: float | None = None
    succeeded: bool = False
    failed: bool = False
    failing: bool = False
    reason: str = ""
    message: str = ""
    failed_indexes: frozenset[int] = frozenset()
    suspended: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class PodSnapshot:
    """A pod of an attempt.

    Attributes:
        phase: ``Pending``, ``Running``, ``Succeeded``, ``Failed`` or ``Unknown``.
        exit_code: of the stage's container, once it has ended.
        exit_reason: the kubelet's word for it, such as ``OOMKilled``.
        exit_message: the stage's last words.
        disrupted: why it was taken away (preempted, evicted, node lost), in Kubernetes' words; empty where it was not.
        disruption: the same in one word, such as ``PreemptionByScheduler``; empty where Kubernetes has none.
        waiting: why it does not run yet, as (reason, message): unschedulable, or what its container waits for.
        address: its IP, once it has one.
        deleted: whether it is on its way out; it may still run.
        vanishes: when it is to be gone at the latest, if its node lives.
        marked: the last checkpoint by its annotations, as (step, time); empty texts where they are not there.
        uid: tells it from others that have had its name.
        unschedulable: since when the scheduler finds no node for it; ``None`` where it has one, or none was looked for.
        silent: whether its node is known to be gone, or not to answer.
    """

    name: str
    job: str
    stage: str
    attempt: int
    index: int
    phase: str
    node: str = ""
    address: str = ""
    started: float | None = None
    exit_code: int | None = None
    exit_reason: str = ""
    exit_message: str = ""
    disrupted: str = ""
    waiting: tuple[str, str] = ("", "")
    deleted: bool = False
    vanishes: float | None = None
    disruption: str = ""
    marked: tuple[str, str] = ("", "")
    uid: str = ""
    unschedulable: float | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class GpuIdleness:
    """For how long some GPU of the first training pod has been used less than was asked about.

    Attributes:
        below: what was asked about, in percent.
        seconds: of the GPU that has been idle for the longest time.
    """

    below: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """What the first training process last told: the fields of ``/progress``.

    Attributes:
        job: the Job whose pod told it.
        told: when.
        gpu_idle: ``None`` where it has no GPUs that tell.
    """

    job: str
    told: float
    step: int
    of: int
    loss: float | None
    tokens_per_second: float | None
    eta_seconds: float | None
    checkpoint_step: int | None
    checkpoint_url: str
    checkpoint_time: str = ""
    gpu_idle: GpuIdleness | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """All that is known of a job at one moment.

    Attributes:
        jobs, pods: its children, by whatever labels say so; some may belong to a namesake that was deleted.
        progress: the latest, if training runs.
        refusals: by Job, why the cluster does not make it, or its pods (quota, admission), where it said so.
        others: by name, the jobs that it waits for, those that these wait for, and so on, as far as they are there.
    """

    resource: Resource
    jobs: tuple[JobSnapshot, ...] = ()
    pods: tuple[PodSnapshot, ...] = ()
    progress: TrainingProgress | None = None
    refusals: dict[str, str] = field(default_factory=dict)
    others: dict[str, Resource] = field(default_factory=dict)
