"""Into how many passes a step is divided where memory runs out: ``training.batch.auto``.

Memory that has run out is not got back within the process: a process whose allocator has failed amid a backward pass
leaves the others waiting for its gradients, and one that the kernel ends does nothing any more. So the attempt ends,
all of its processes with it, and the next one, which whoever starts it tells so (``OUT_OF_MEMORY_ENV``), computes the
same batches in smaller passes. Invariants:

- The examples of a batch, their order and each process's part of them are the same whatever the passes are.
- Only an attempt after one that ran out of memory makes passes smaller, and says so in a file beside the checkpoints
  before its first step; every other death leaves them as they are.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import torch

from mtj_api import JobError
from mtj_api.estimate import ways_with_less
from mtj_api.passes import sequences_in_a_pass
from mtj_api.spec import JobSpec, Training
from mtj_trainer.stage import OutOfMemory
from mtj_trainer.storage import Storage
from mtj_trainer.train.distributed import World

KEY = "passes.json"
"""In the folder of the run's checkpoints."""

GIB = 1 << 30


@dataclass(frozen=True)
class Passes:
    """What was found to fit.

    Attributes:
        accumulation: passes of a step.
        because: why, for who reads the file.
    """

    accumulation: int
    because: str = ""


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, of a GPU's or of the machine's."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def divided(settings: Training, at_least: int) -> int | None:
    """The accumulation to go on with; ``None`` where there are no examples for so many passes.

    It is the least multiple of what the job asks for that gives each pass the same number of examples, with all the
    processes that the job asks for: what fewer make of it is ``passes_of``.
    """
    size, asked = settings.batch.size, settings.batch.accumulation
    processes = settings.nodes * settings.processes_per_node
    counts = range(asked, size // processes + 1, asked)
    return next((count for count in counts if count >= at_least and size % (count * processes) == 0), None)


def settle(spec: JobSpec, folder: Storage, world: World, *, ran_out_before: bool) -> Passes:
    """The passes of this attempt, agreed on by all processes.

    Args:
        spec: of a resolved job with ``batch.auto``.
        folder: of the run's checkpoints.
        world: this process's place.
        ran_out_before: whether the attempt before this one ran out of memory.

    Raises:
        JobError: it did, with one example a pass.
    """
    assert spec.training is not None
    chosen = _chosen(spec.training, folder, world.size, ran_out_before) if world.is_first else None
    agreed = world.agreed(json.dumps(asdict(chosen)) if chosen else "")
    if not agreed:
        raise too_much(spec, world)
    return Passes(**json.loads(agreed))


def _chosen(settings: Training, folder: Storage, processes: int, ran_out_before: bool) -> Passes | None:
    before = Passes(**json.loads(folder.read(KEY))) if folder.exists(KEY) else Passes(settings.batch.accumulation)
    count = divided(settings, before.accumulation * (2 if ran_out_before else 1))
    if count is None:
        return None
    if not ran_out_before:
        return Passes(count, before.because)
    had = _in_a_pass(settings, before.accumulation, processes)
    chosen = Passes(count, f"memory ran out with {_sequences(had)} a pass")
    folder.write(KEY, (json.dumps(asdict(chosen), indent=2) + "\n").encode())
    return chosen


def out_of_memory(spec: JobSpec, world: World, *, in_steps: bool) -> OutOfMemory | JobError:
    """What the end of a process that ran out of memory is.

    Args:
        spec: of the resolved job, with the passes that there were.
        world: this process's place.
        in_steps: whether it trained, so that smaller passes may do.
    """
    assert spec.training is not None
    batch = spec.training.batch
    smaller = divided(spec.training, 2 * batch.accumulation)
    if not (batch.auto and in_steps and smaller):
        return too_much(spec, world)
    had, left = (_in_a_pass(spec.training, count, world.size) for count in (batch.accumulation, smaller))
    return OutOfMemory(f"memory ran out with {_sequences(had)} a pass; the next attempt takes {left}")


def too_much(spec: JobSpec, world: World) -> JobError:
    """A job that needs more memory than there is, and what to write instead."""
    assert spec.training is not None
    batch, gpu = spec.training.batch, world.device.type == "cuda"
    there = "there is"
    if gpu:
        there = f"a GPU of {torch.cuda.get_device_properties(world.device).total_memory / GIB:.0f} GiB has"
    ways = ways_with_less(spec, world.size, gpu=gpu)
    smaller = divided(spec.training, 2 * batch.accumulation)
    if smaller is not None and not ways:
        ways = [f"training.batch.accumulation: {smaller}"]
    if smaller is not None and not batch.auto:
        ways.append("training.batch.auto: true, which finds out how many passes it takes")
    rows = sequences_in_a_pass(spec.training, world.size)
    return JobError(
        f"training needs more memory than {there}, with {_sequences(rows)} a pass",
        where="spec.training",
        instead="write " + ", or ".join(ways)
        if ways
        else "make the model smaller, or train where there is more memory",
    )


def _in_a_pass(settings: Training, accumulation: int, processes: int) -> int:
    """Sequences in the largest pass, where the accumulation has become another than the job asks for."""
    batch = settings.batch.model_copy(update={"accumulation": accumulation})
    return sequences_in_a_pass(settings.model_copy(update={"batch": batch}), processes)


def _sequences(count: int) -> str:
    return f"{count} sequence{'' if count == 1 else 's'}"
