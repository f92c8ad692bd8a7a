"""Memory of a codec in training: ``mtj_trainer.families.codec.model``."""

from __future__ import annotations

from collections.abc import Iterator

from mtj_api.estimate.footprint import FP32, MIB, Footprint, Kept, bytes_a_value
from mtj_api.sizes import codec_parameters
from mtj_api.spec import JobSpec
from mtj_api.spec.model import CodecArchitecture

LIBRARIES = 760 * MIB
"""As of the symbolic family, with transformers; measured."""

VALIDATION_CROPS = 8
"""Of a validation batch."""

KEPT_A_LEVEL = 14
"""Tensors that a block keeps at its own rate: of each of three residual units what goes into and comes out of both
Snakes, and the same of the Snake before the next change of rate."""

SPECTRA = 400
"""Bytes a sample of the spectral losses' graphs: four windows, each with two bins a sample."""

DISCRIMINATOR_KEPT = 3900
"""Bytes a sample of what the discriminator keeps of decoded and real audio, with its losses."""

DISCRIMINATOR_PARAMETERS = 37_000


def codec(spec: JobSpec, sequences: int, started: CodecArchitecture | None = None) -> Footprint:
    """See ``Footprint``; arguments as of ``symbolic``, where a row is a crop."""
    assert spec.model is not None
    assert spec.training is not None
    training, sizes = spec.training, started or spec.model.codec_architecture
    assert sizes is not None
    value = bytes_a_value(training.precision)
    crop = round(training.crop_seconds * spec.dataset.audio.sample_rate)
    samples = sequences * crop
    kept = [Kept(int(samples * value * width), count) for width, count in _levels(sizes)]
    latent = sizes.encoder_width * 2 ** len(sizes.strides)
    kept.append(Kept(int(samples / _hop(sizes) * FP32 * latent), 2 * sizes.codebooks))  # residuals and their parts
    parameters = codec_parameters(sizes)
    if value < FP32:
        kept.append(Kept(value * parameters // 32, 32))  # weights as the convolutions read them
    adversarial = training.losses.adversarial > 0
    if adversarial:
        kept.append(Kept(samples * DISCRIMINATOR_KEPT // 40, 40))
    widest = max(width for width, _ in _levels(sizes))
    return Footprint(
        libraries=LIBRARIES,
        trained=parameters + (DISCRIMINATOR_PARAMETERS if adversarial else 0),
        resting=0,
        largest_weight=0,
        kept=tuple(kept),
        momentary=int(samples * max(SPECTRA, 4 * FP32 * widest)),  # gradients, and layouts that convolutions work in
        validation=int(VALIDATION_CROPS * crop * (SPECTRA + 4 * FP32 * widest)),
        reading=2 * FP32 * parameters if started else 0,
    )


def _levels(sizes: CodecArchitecture) -> Iterator[tuple[float, int]]:
    """(values a sample, how many) of the tensors that encoder and decoder keep, from one rate to the next."""
    width, rate = sizes.encoder_width, 1.0
    for stride in sizes.strides:
        yield width * rate, KEPT_A_LEVEL
        width, rate = 2 * width, rate / stride
    yield width * rate, 2
    width = sizes.decoder_width
    yield width * rate, 2
    for stride in reversed(sizes.strides):
        width, rate = width // 2, rate * stride
        yield width * rate, KEPT_A_LEVEL


def _hop(sizes: CodecArchitecture) -> int:
    hop = 1
    for stride in sizes.strides:
        hop *= stride
    return hop
