"""How much memory a training process takes, by what takes it.

The parts are physical: parameters times bytes, and the tensors that a pass keeps. What was measured instead is said
beside the figure: what libraries hold, and what the heap wastes. The sum lies within ``TOLERANCE`` of the peak resident
memory on a CPU, and of the most that lies on a GPU (``tests/scale/memory.py`` measures both).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from mtj_api.estimate.codec import codec
from mtj_api.estimate.footprint import FP32, HEAP_LIMIT, MIB, Footprint
from mtj_api.estimate.musicgen import MusicGenSizes, musicgen
from mtj_api.estimate.symbolic import symbolic
from mtj_api.passes import sequences_in_a_pass
from mtj_api.spec import JobSpec, Training
from mtj_api.spec.model import Architecture, CodecArchitecture

TOLERANCE = 0.15
"""How far off an estimate may be."""

HEAP_WASTE = 0.5
"""What the heap holds beside what lies in it, as a part of it: freed places that fit nothing else, since PyTorch asks
for aligned memory. Measured with glibc 2.36. With activation checkpointing the trainer does without
(``mtj_trainer.train.heap``)."""

CUDA_CONTEXT = 500 * MIB
"""What a process holds on a GPU beside its tensors, about."""

DEEPSPEED = 150 * MIB
"""What DeepSpeed imports; measured."""

LAUNCHER = 520 * MIB
"""What the process that starts the training processes of a machine holds: Python and PyTorch; measured."""

SHARED = 220 * MIB
"""Of each process that imports PyTorch: its code, which all processes of a machine hold together once; measured."""

Started = Architecture | CodecArchitecture | MusicGenSizes
"""Sizes of a model that training starts from."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that one training process holds at its peak, by what holds them.

    Attributes:
        averaged_weights: the moving average, of what is trained.
        activations: what a pass keeps, and what it needs where it needs most.
        heap: what the C library does not give back.
        reading: what is needed beyond the peak of a step to read a model, to gather a divided state or to merge.
    """

    weights: int
    gradients: int
    optimizer: int
    averaged_weights: int
    activations: int
    heap: int
    reading: int
    libraries: int

    @property
    def total(self) -> int:
        return sum(getattr(self, field.name) for field in fields(self))


def divided_parts(training: Training) -> frozenset[str]:
    """What the engine divides among the processes, by its name in the estimate; of the rest each holds all."""
    by_stage = ("optimizer", "gradients", "weights")
    stages = {"torchrun": 0, "fsdp": len(by_stage), "deepspeed": training.deepspeed.zero_stage}
    return frozenset(by_stage[: stages[training.engine]])


def offloaded_parts(training: Training) -> frozenset[str]:
    """What lies in the machine's memory even where there are GPUs."""
    by_choice = {"none": (), "optimizer": ("optimizer",), "all": ("optimizer", "weights")}
    return frozenset(by_choice[training.deepspeed.offload] if training.engine == "deepspeed" else ())


def process_memory(
    spec: JobSpec, processes: int = 1, started: Started | None = None, *, gpu: bool = False
) -> MemoryEstimate | None:
    """Memory of one training process; ``None`` where it cannot be told, as the model is not known yet.

    Args:
        spec: of a resolved job.
        processes: how many train together, on all machines.
        started: the sizes of the model that training starts from, where they are known.
        gpu: whether it computes on one, whose memory is meant then.
    """
    training = spec.training
    if training is None:
        return None
    sequences = sequences_in_a_pass(training, processes)
    of = footprint(spec, sequences, started, gpu=gpu)
    if of is None:
        return None
    divided, parts = divided_parts(training), FP32 * of.trained

    def held(part: str, size: int) -> int:
        return -(-size // processes) if part in divided else size

    gradients = held("gradients", parts)
    in_heap = of.in_heap + (parts if FP32 * of.largest_weight < HEAP_LIMIT else 0)
    heap = 0 if gpu or training.activation_checkpointing else int(HEAP_WASTE * in_heap)
    zero = training.engine == "deepspeed" and training.deepspeed.zero_stage > 0
    reading = max(of.reading - FP32 * (of.trained + of.resting), _gathered(training, parts))
    step = gradients + of.activations + heap
    return MemoryEstimate(
        weights=held("weights", parts) + FP32 * of.resting,
        gradients=gradients,
        # AdamW's two moments; ZeRO also has its own copy of the weights that it updates.
        optimizer=held("optimizer", (3 if zero else 2) * parts),
        averaged_weights=held("weights", parts) if training.regularization.weight_averaging else 0,
        activations=of.activations,
        heap=heap,
        reading=max(0, reading - step),
        libraries=CUDA_CONTEXT if gpu else of.libraries + (DEEPSPEED if training.engine == "deepspeed" else 0),
    )


def footprint(spec: JobSpec, sequences: int, started: Started | None = None, *, gpu: bool = False) -> Footprint | None:
    """What a job's model takes of a process that is given so many sequences a pass; ``None`` where it is not known."""
    model = spec.model
    if model is None:
        return None
    if model.family == "codec":
        known = started if isinstance(started, CodecArchitecture) else None
        return codec(spec, sequences, known) if known or model.codec_architecture else None
    if model.family == "symbolic":
        sizes = started if isinstance(started, Architecture) else None
        return symbolic(spec, sequences, sizes, gpu=gpu) if sizes or model.architecture else None
    whole = started if isinstance(started, MusicGenSizes) else None
    return musicgen(spec, sequences, whole, gpu=gpu) if whole or model.architecture else None


def _gathered(training: Training, parts: int) -> int:
    """Bytes of what the first process gathers for a checkpoint: both moments, and all weights twice, where divided."""
    divided = divided_parts(training)
    return (2 * ("optimizer" in divided) + 2 * ("weights" in divided)) * parts


def machine_memory(one: MemoryEstimate, processes: int) -> int:
    """Bytes that the training processes of one machine hold together, with what starts them.

    Args:
        one: each of them, on a CPU.
        processes: how many there are on the machine.
    """
    return LAUNCHER + processes * (one.total - SHARED)
