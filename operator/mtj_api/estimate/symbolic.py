"""Memory of the symbolic decoder: ``mtj_trainer.families.symbolic.model``."""

from __future__ import annotations

from mtj_api.estimate.footprint import FP32, MIB, Footprint, Kept, bytes_a_value
from mtj_api.sizes import VOCABULARIES, parameter_count
from mtj_api.spec import JobSpec
from mtj_api.spec.model import Architecture

LIBRARIES = 690 * MIB
"""Python, PyTorch with CUDA, and the optimizer's imports; measured."""

VALIDATION_ROWS = 16
"""Of a validation batch."""

KEPT_WIDTHS = {4: ((16, 2), (12, 1), (4, 7)), 2: ((8, 2), (6, 1), (2, 5), (4, 2))}
"""By the bytes of a value: (bytes a width and token, how many) of the tensors that a block keeps. In fp32: what goes
into and comes out of GELU, four widths each; queries, keys and values as one; both turned, attention's result, both
residuals, and what both normalizations give. In bf16 the residuals and the normalizations stay
in fp32, and products keep what they were given in bf16."""

UNSCALED = 2
"""The same results before their gain, which are kept in fp32 on a CPU; the kernel of a GPU computes them again."""


def symbolic(spec: JobSpec, sequences: int, started: Architecture | None = None, *, gpu: bool = False) -> Footprint:
    """See ``Footprint``.

    Args:
        spec: of a resolved job.
        sequences: rows of a pass.
        started: sizes of the model that training starts from, where it starts from one.
        gpu: whether it is computed on one.
    """
    assert spec.model is not None
    assert spec.training is not None
    training, sizes = spec.training, started or spec.model.architecture
    assert sizes is not None
    vocabulary = VOCABULARIES[spec.dataset.midi.tokenizer]
    value, tokens = bytes_a_value(training.precision), sequences * sizes.context
    wide = tokens * sizes.width
    block = [Kept(wide * size, count) for size, count in KEPT_WIDTHS[value]]
    if not gpu:
        block.append(Kept(FP32 * wide, UNSCALED))
    if training.regularization.dropout > 0:
        block.append(Kept(wide, 2))  # masks of a byte a value
    if training.activation_checkpointing:
        blocks = [Kept(FP32 * wide, sizes.layers), *block]
    else:
        blocks = [Kept(one.size, one.count * sizes.layers) for one in block]
    parameters = parameter_count(sizes, vocabulary)
    if value < FP32:
        blocks.append(Kept(value * 4 * sizes.width**2, 3 * sizes.layers))  # matrices as the products read them
    ends = [Kept(FP32 * wide, 5), Kept(FP32 * tokens * vocabulary, 1)]  # around the blocks; logarithms of the softmax
    logits = tokens * vocabulary * (FP32 if value == FP32 else FP32 + value)
    return Footprint(
        libraries=LIBRARIES,
        trained=parameters,
        resting=0,
        largest_weight=4 * sizes.width**2,
        kept=(*blocks, *ends),
        momentary=max(logits, 2 * 4 * value * wide),  # gradients of the logits, or on both sides of a GELU
        validation=VALIDATION_ROWS * sizes.context * (FP32 * 10 * sizes.width + (FP32 + FP32 + value) * vocabulary),
        reading=3 * FP32 * parameters if started else 0,  # the file, its tensors, and the model that they are for
    )
