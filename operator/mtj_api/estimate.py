"""How large a model is and how much memory training it takes, by arithmetic alone."""

from __future__ import annotations

from dataclasses import dataclass

from mtj_api.sizes import TYPICAL_VOCABULARY, parameter_count
from mtj_api.spec.model import Architecture
from mtj_api.spec.training import Training

LIBRARIES_BYTES = 400 << 20
"""What torch and Python themselves hold in each process."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that one training process holds at its peak, by what holds them."""

    weights: int
    gradients: int
    optimizer: int
    averaged_weights: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.averaged_weights + self.activations


def divided_parts(training: Training) -> frozenset[str]:
    """What DeepSpeed divides among the processes, by its name in the estimate; without it each holds all."""
    by_stage = ("optimizer", "gradients", "weights")
    return frozenset(by_stage[: training.deepspeed.zero_stage] if training.engine == "deepspeed" else ())


def offloaded_parts(training: Training) -> frozenset[str]:
    """What lies in the machine's memory even where there are GPUs."""
    by_choice = {"none": (), "optimizer": ("optimizer",), "all": ("optimizer", "weights")}
    return frozenset(by_choice[training.deepspeed.offload] if training.engine == "deepspeed" else ())


def training_memory(architecture: Architecture, training: Training, processes: int = 1) -> MemoryEstimate:
    """Memory of one process, without the libraries themselves.

    Weights, gradients and AdamW's two moments are fp32 whatever the precision; activations are counted a token
    and layer as 34 widths of 2-byte values (Korthikanti et al. 2022, arXiv 2205.05198, without the attention
    matrix, which the fused kernel never makes), twice that in fp32, and one width with checkpointing.

    Args:
        architecture: the model's sizes.
        training: how it is trained.
        processes: how many train together, on all machines.
    """
    parameters = parameter_count(architecture)
    sequences = -(-training.batch.size // (training.batch.accumulation * processes))
    tokens = sequences * architecture.context
    bytes_a_value = 4 if training.precision in ("fp32", "auto") else 2
    widths = 1 * bytes_a_value if training.activation_checkpointing else 17 * bytes_a_value
    layers = tokens * architecture.layers * architecture.width * widths
    logits = tokens * TYPICAL_VOCABULARY * (bytes_a_value + 8)
    one_layer = tokens * architecture.width * 17 * bytes_a_value if training.activation_checkpointing else 0
    divided = divided_parts(training)

    def held(part: str, size: int) -> int:
        return -(-size // processes) if part in divided else size

    return MemoryEstimate(
        weights=held("weights", 4 * parameters),
        gradients=held("gradients", 4 * parameters),
        optimizer=held("optimizer", 8 * parameters),
        averaged_weights=held("weights", 4 * parameters) if training.regularization.weight_averaging else 0,
        activations=layers + one_layer + logits,
    )


def memory_of_process(architecture: Architecture, training: Training, processes: int) -> int:
    """Bytes that one of so many processes holds at its peak, with the libraries."""
    return training_memory(architecture, training, processes).total + LIBRARIES_BYTES
