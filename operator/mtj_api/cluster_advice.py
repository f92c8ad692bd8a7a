"""What a good colleague would say of a valid job before it goes to a cluster.

Invariant: pure, and silent about a job that says nothing of a cluster. What no cluster can run is not here: the
operator refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mtj_api.estimate import Started, machine_memory, process_memory
from mtj_api.estimate.fits import gib
from mtj_api.resolve import GIVEN, Resolution
from mtj_api.spec.kubernetes import amount

ClusterAdvisor = Callable[[Resolution], Iterator[str]]


def is_for_cluster(resolution: Resolution) -> bool:
    """Whether the job says anything that only a cluster acts on."""
    spec = resolution.job.spec
    several = spec.dataset.workers.nodes > 1 or (spec.training is not None and spec.training.nodes > 1)
    return several or any(
        value.path.startswith("spec.scheduling.") and value.reason == GIVEN for value in resolution.values
    )


def advise_on_cluster(resolution: Resolution, started: Started | None = None) -> list[str]:
    """Everything there is to say, a sentence each.

    Args:
        resolution: the job.
        started: sizes of the model that training starts from, where they are known.
    """
    if not is_for_cluster(resolution):
        return []
    sentences = [sentence for advisor in ADVISORS for sentence in advisor(resolution)]
    return [*sentences, *_memory(resolution, started)]


def _workers(resolution: Resolution) -> Iterator[str]:
    workers = resolution.job.spec.dataset.workers
    if workers.nodes > workers.count:
        yield (
            f"dataset.workers.nodes is {workers.nodes} and count {workers.count}, so some pods would only wait; "
            f"write a count of {workers.nodes} or more"
        )


def _places(resolution: Resolution) -> Iterator[str]:
    """Pods that work together need the same files, which a path gives them only by a volume that all may mount."""
    spec = resolution.job.spec
    several = spec.dataset.workers.nodes > 1 or (spec.training is not None and spec.training.nodes > 1)
    if not several or "://" in spec.output.removeprefix("file://"):
        return
    claims = [volume for volume in spec.scheduling.pod_template.volumes if volume.persistent_volume_claim]
    if claims:
        yield ("several pods work at a time, so the claims of scheduling.podTemplate.volumes have to be ReadWriteMany")
    else:
        yield (
            "output is a path, and pods share no folder; write s3://bucket/prefix, or mount a persistentVolumeClaim "
            "that is ReadWriteMany by scheduling.podTemplate.volumes"
        )


def _devices(resolution: Resolution) -> Iterator[str]:
    training, gpus = resolution.job.spec.training, resolution.job.spec.scheduling.resources.train.gpus
    if training is None:
        return
    if gpus > training.processes_per_node:
        yield (
            f"scheduling.resources.train.gpus is {gpus} and training.processesPerNode {training.processes_per_node}, "
            f"so GPUs would idle; write processesPerNode: {gpus}"
        )
    if not gpus and training.precision == "fp16":
        yield "training.precision fp16 needs GPUs; ask for them by scheduling.resources.train.gpus, or write auto"


def _divided(resolution: Resolution) -> Iterator[str]:
    training, gpus = resolution.job.spec.training, resolution.job.spec.scheduling.resources.train.gpus
    if training is None or training.engine == "torchrun":
        return
    offloads = training.engine == "deepspeed" and training.deepspeed.offload != "none"
    if training.nodes * training.processes_per_node == 1 and not offloads:
        yield (
            f"training.engine {training.engine} has one process, among which nothing is divided; write torchrun, or "
            "more nodes"
        )
    elif not gpus:
        yield (
            f"training.engine {training.engine} is made for GPUs, and without them slower than torchrun; ask for them "
            "by scheduling.resources.train.gpus, or write torchrun"
        )


def _memory(resolution: Resolution, started: Started | None) -> Iterator[str]:
    spec = resolution.job.spec
    asked = spec.scheduling.resources.train
    if spec.training is None or asked.memory is None or asked.gpus:
        return
    here = spec.training.processes_per_node
    one = process_memory(spec, spec.training.min_nodes * here, started)
    if one is None:
        return
    needed = machine_memory(one, here)
    if needed > amount(asked.memory):
        yield (
            f"each pod that trains needs about {gib(needed)} and is given {asked.memory}, at which it is "
            f"killed; write scheduling.resources.train.memory: {-(-needed * 5 // (4 << 30))}Gi"
        )


ADVISORS: tuple[ClusterAdvisor, ...] = (_workers, _places, _devices, _divided)
