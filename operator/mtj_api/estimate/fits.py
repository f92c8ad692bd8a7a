"""Whether a machine without GPUs has the memory that a job's training needs, and what would make it do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from mtj_api.estimate.process import TOLERANCE, Started, machine_memory, process_memory
from mtj_api.spec import JobSpec
from mtj_api.spec.model import MUSICGEN_FAMILIES

PASSES = "training.batch.accumulation"

Way = tuple[str, JobSpec]
"""Settings as a user writes them, and the job that has them."""


@dataclass(frozen=True)
class Shortage:
    """A machine with too little memory.

    Attributes:
        needed: bytes, about.
        memory: bytes that the machine has.
        certain: it is too little even if the estimate is as much too high as it may be.
        ways: settings with which it would be enough, by themselves, and what is then needed.
    """

    needed: int
    memory: int
    certain: bool
    ways: tuple[tuple[str, int], ...]

    @property
    def what(self) -> str:
        """What is wrong."""
        return f"training needs about {gib(self.needed)} of memory and this machine has {gib(self.memory)}"

    @property
    def helped_by_passes(self) -> bool:
        """Whether dividing a step into more passes is enough by itself, which ``training.batch.auto`` does."""
        return any(setting.startswith(PASSES) for setting, _ in self.ways)

    @property
    def instead(self) -> str:
        """What to write instead."""
        if not self.ways:
            return "make the model or the batch smaller, or train on a machine with more memory"
        return "write " + ", or ".join(f"{setting} (about {gib(needed)})" for setting, needed in self.ways)


def shortage(spec: JobSpec, memory: int, started: Started | None = None) -> Shortage | None:
    """What a machine lacks to train a job by itself; ``None`` where it has enough, or what is needed is not known.

    Args:
        spec: of a resolved job.
        memory: bytes that the machine has.
        started: sizes of the model that training starts from, where they are known.
    """
    needed = needed_here(spec, started)
    if needed is None or needed <= memory:
        return None
    assert spec.training is not None
    ways: list[tuple[str, int]] = []
    for kind in _ways(spec, spec.training.processes_per_node):
        fitting = ((setting, needed_here(changed, started) or needed) for setting, changed in kind)
        ways += [first for first in [next((way for way in fitting if way[1] <= memory), None)] if first]
    return Shortage(needed, memory, certain=needed * (1 - TOLERANCE) > memory, ways=tuple(ways))


def ways_with_less(spec: JobSpec, processes: int, *, gpu: bool) -> list[str]:
    """Settings of each kind that need clearly less memory than a job does, the smallest change of the kind.

    Args:
        spec: of a resolved job that ran out of memory, whatever was estimated of it.
        processes: how many train together, on all machines.
        gpu: whether it was a GPU's memory.
    """
    needed = process_memory(spec, processes, gpu=gpu)
    if needed is None:
        return []
    found = []
    for kind in _ways(spec, processes):
        for setting, changed in kind:
            less = process_memory(changed, processes, gpu=gpu)
            if less is not None and less.total < (1 - TOLERANCE) * needed.total:
                found.append(f"{setting} (about {gib(less.total)} a process, not {gib(needed.total)})")
                break
    return found


def needed_here(spec: JobSpec, started: Started | None = None) -> int | None:
    """Bytes that one machine without GPUs needs to train a job by itself, about; ``None`` where it is not known."""
    if spec.training is None:
        return None
    processes = spec.training.processes_per_node
    one = process_memory(spec, processes, started)
    return None if one is None else machine_memory(one, processes)


def gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _ways(spec: JobSpec, processes: int) -> Iterator[Iterator[Way]]:
    """Kinds of changes that need less memory, and of each kind the ways to do it, the smallest change first."""
    assert spec.training is not None
    assert spec.model is not None
    yield _accumulated("", spec, processes)
    if spec.model.family != "codec" and not spec.training.activation_checkpointing:
        setting = "training.activationCheckpointing: true"
        checkpointed = spec.model_copy(deep=True)
        assert checkpointed.training is not None
        checkpointed.training.activation_checkpointing = True
        yield itertools.chain([(setting, checkpointed)], _accumulated(f"{setting} and ", checkpointed, processes))
    if spec.model.family in MUSICGEN_FAMILIES and spec.training.strategy == "finetune":
        adapted = spec.model_copy(deep=True)
        assert adapted.training is not None
        adapted.training.strategy = "lora"
        yield itertools.chain(
            [("training.strategy: lora", adapted)], _accumulated("training.strategy: lora and ", adapted, processes)
        )


def _accumulated(before: str, spec: JobSpec, processes: int) -> Iterator[Way]:
    """The same batch in more passes."""
    assert spec.training is not None
    batch, asked_for = spec.training.batch, max(processes, spec.training.nodes * spec.training.processes_per_node)
    rows = batch.size // (batch.accumulation * asked_for)
    for times in range(2, rows + 1):
        if rows % times == 0:
            changed = spec.model_copy(deep=True)
            assert changed.training is not None
            changed.training.batch.accumulation = batch.accumulation * times
            yield f"{before}{PASSES}: {batch.accumulation * times}", changed
