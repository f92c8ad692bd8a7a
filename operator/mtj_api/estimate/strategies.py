"""How many parameters each strategy trains in MusicGen's decoder: ``mtj_trainer.adaptation``, by arithmetic alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from mtj_api.spec import Training

LOW_RANK = ("q_proj", "k_proj", "v_proj", "out_proj")
SCALED = ("k_proj", "v_proj", "fc2")
FOLLOWED = ("fc2",)
"""What a strategy adapts by itself: the family's ``Targets``."""

BLOCKS = "decoder.model.decoder.layers"


def trained_parameters(training: Training, layers: int, width: int, *, melodic: bool = False) -> int | None:
    """Parameters that are trained; ``None`` where all are.

    Args:
        training: of a resolved job.
        layers, width: of the decoder.
        melodic: it has no cross-attention.
    """
    peft, strategy = training.peft, training.strategy
    if strategy in ("full", "finetune"):
        return None
    if strategy == "prompt":
        return peft.tokens * width
    if strategy == "selective":
        return sum(size for name, size in _weights(layers, width, melodic) if _chosen(training, layers, name))
    usual = {"lora": LOW_RANK, "dora": LOW_RANK, "ia3": SCALED, "adapter": FOLLOWED}[strategy]
    ends = peft.targets or usual
    shapes = [
        (outside, inside, name)
        for name, outside, inside in _linear(width, melodic)
        if any(f".{name}".endswith(f".{end}") for end in ends)
    ]
    each: dict[str, Callable[[int, int, str], int]] = {
        "lora": lambda outside, inside, _: peft.rank * (outside + inside),
        "dora": lambda outside, inside, _: peft.rank * (outside + inside) + outside,
        "ia3": lambda outside, inside, name: inside if name == "fc2" else outside,
        "adapter": lambda outside, _inside, _name: 2 * outside * peft.bottleneck + peft.bottleneck + outside,
    }
    return layers * sum(each[strategy](*shape) for shape in shapes)


def first_trained_block(training: Training, layers: int) -> int:
    """The first block that a gradient reaches, from 0: what lies before it keeps nothing."""
    if training.strategy != "selective":
        return 0
    return next(
        (
            index
            for index in range(layers)
            if any(_chosen(training, layers, name) for name, _ in _weights(layers, 16, melodic=False, only=index))
        ),
        layers,
    )


def _chosen(training: Training, layers: int, name: str) -> bool:
    """Whether strategy selective trains this weight."""
    wanted = training.selective
    if any(fnmatchcase(name, pattern) for pattern in wanted.patterns):
        return True
    inside = name.removeprefix(f"{BLOCKS}.")
    if inside != name and int(inside.partition(".")[0]) >= layers - wanted.last_blocks:
        return True
    return (wanted.biases and name.endswith(".bias")) or (wanted.norms and "norm" in name)


def _linear(width: int, melodic: bool) -> Iterator[tuple[str, int, int]]:
    """(name, outputs, inputs) of a block's linear layers."""
    for attention in ("self_attn",) if melodic else ("self_attn", "encoder_attn"):
        for name in LOW_RANK:
            yield f"{attention}.{name}", width, width
    yield "fc1", 4 * width, width
    yield "fc2", width, 4 * width


def _weights(layers: int, width: int, melodic: bool, only: int | None = None) -> Iterator[tuple[str, int]]:
    """Names and sizes of the blocks' weights, as the published model has them."""
    norms = ("self_attn_layer_norm", *(() if melodic else ("encoder_attn_layer_norm",)), "final_layer_norm")
    for layer in range(layers) if only is None else (only,):
        for name, outside, inside in _linear(width, melodic):
            yield f"{BLOCKS}.{layer}.{name}.weight", outside * inside
        for name in norms:
            yield f"{BLOCKS}.{layer}.{name}.weight", width
            yield f"{BLOCKS}.{layer}.{name}.bias", width
