"""What a pod asks of its node: processor time, memory and devices.

Memory is requested and limited alike, so that a pod gets what it was promised and never takes its neighbour's.
Processor time is requested alone: a limit would throttle a pod while cores beside it idle.
"""

from __future__ import annotations

from mtj_api.spec import PodResources, Scheduling
from mtj_api.spec.kubernetes import amount
from mtj_operator.plan.objects.child import Attempt, Object

CPU_OF_PROCESS = 0.5
"""Cores asked for by a process where the job does not say: enough that the scheduler shares pods out by their number
of processes, and little enough that a laptop's cluster takes them. It may use all that its node has to spare."""


def asked(scheduling: Scheduling, stage: str) -> PodResources:
    """What the job says of each pod of a stage. Only stages that compute with the model get devices."""
    if stage in ("prepare", "train", "evaluate"):
        found: PodResources = getattr(scheduling.resources, stage)
        return found
    return scheduling.resources.evaluate.model_copy(update={"gpus": 0})


def cores(scheduling: Scheduling, stages: tuple[str, ...]) -> dict[str, int]:
    """Whole cores of the stages' pods, at least one, where the job says how many they are."""
    found = {stage: asked(scheduling, stage).cpu for stage in stages}
    return {stage: max(1, int(amount(cpu))) for stage, cpu in found.items() if cpu is not None}


def requirements(attempt: Attempt) -> Object:
    """The resources of the container of a stage."""
    wanted = asked(attempt.scheduling, attempt.stage.name)
    limits: dict[str, str] = {}
    if wanted.memory is not None:
        limits["memory"] = wanted.memory
    if wanted.gpus:
        limits[attempt.scheduling.gpu_resource] = str(wanted.gpus)
    default = f"{attempt.stage.resources.processes * CPU_OF_PROCESS * 1000:.0f}m"
    found: Object = {"requests": {"cpu": wanted.cpu or default, **limits}}
    return found | ({"limits": limits} if limits else {})
