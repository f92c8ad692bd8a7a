"""Memory of MusicGen and AudioGen in training: ``mtj_trainer.families.musicgen.model`` over transformers' decoder."""

from __future__ import annotations

from dataclasses import dataclass

from mtj_api.estimate.footprint import FP32, MIB, Footprint, Kept, bytes_a_value
from mtj_api.estimate.strategies import first_trained_block, trained_parameters
from mtj_api.sizes import TYPICAL_CODEBOOK_SIZE, TYPICAL_CODEBOOKS, codec_parameters, musicgen_parameters
from mtj_api.spec import JobSpec
from mtj_api.spec.model import CodecArchitecture

LIBRARIES = 750 * MIB
"""As of the symbolic family, with transformers, tokenizers and what they import; measured."""

VALIDATION_ROWS = 8
"""Of a validation batch."""

TEXT_TOKENS = 16
"""Of a caption, about."""

TEXT_LAYERS = 2
"""Of the text encoder of a model from scratch, which is as wide as its decoder."""

DROPOUTS = 3
"""Of a block; PyTorch keeps their masks in fp32 on a CPU, and as bytes on a GPU."""

KEPT = {"full": 81, "finetune": 81, "selective": 81, "lora": 63, "dora": 112, "ia3": 78, "adapter": 58, "prompt": 54}
"""Bytes a width and token that a block keeps in fp32, by strategy, without dropout; counted by PyTorch's hooks on what
is saved. Where weights rest, the inputs of their products need not be kept."""

KEPT_BF16 = 0.57
"""The same in bf16, as a part of it: the residuals and the normalizations stay in fp32."""

DORA_MATRICES = 45
"""Bytes a squared width that a block keeps with dora: each adapted weight as a whole, to take its norm."""


@dataclass(frozen=True)
class MusicGenSizes:
    """Sizes of a MusicGen.

    Attributes:
        layers, width, heads: of the decoder.
        context: frames that it reads at a time.
        codebooks, codebook_size: of its codec.
        text_encoder: parameters of the text encoder.
        codec: parameters of the codec.
        learns_text: whether the text encoder is trained along.
        melody: positions before the music, where it listens to a melody by these and has no cross-attention.
    """

    layers: int
    width: int
    heads: int
    context: int
    codebooks: int = TYPICAL_CODEBOOKS
    codebook_size: int = TYPICAL_CODEBOOK_SIZE
    text_encoder: int = 0
    codec: int = 0
    learns_text: bool = False
    melody: int = 0

    @property
    def decoder(self) -> int:
        """Parameters of the decoder."""
        whole = musicgen_parameters(self.layers, self.width, self.codebooks, self.codebook_size)
        return whole - (self.layers * (4 * self.width**2 + 2 * self.width) if self.melody else 0)


def from_scratch(spec: JobSpec) -> MusicGenSizes:
    """Sizes of a job's own model, over a codec of the default sizes: the job's is not known before it runs."""
    assert spec.model is not None
    sizes = spec.model.architecture
    assert sizes is not None
    words = 1000  # of the captions; a table that hardly counts
    text = TEXT_LAYERS * 12 * sizes.width**2 + words * sizes.width
    melody = sizes.context if "melody" in spec.model.conditioning else 0  # chroma frames are about as long as codes'
    return MusicGenSizes(
        layers=sizes.layers,
        width=sizes.width,
        heads=sizes.heads,
        context=sizes.context,
        text_encoder=text,
        codec=codec_parameters(CodecArchitecture()),
        learns_text=True,
        melody=melody,
    )


def musicgen(spec: JobSpec, sequences: int, started: MusicGenSizes | None = None, *, gpu: bool = False) -> Footprint:
    """See ``Footprint``; arguments as of ``symbolic``, where a row is a crop of codes."""
    assert spec.training is not None
    training, sizes = spec.training, started or from_scratch(spec)
    value = bytes_a_value(training.precision)
    positions = sizes.context + sizes.codebooks  # which the delay pattern adds
    heard = 0 if sizes.melody else TEXT_TOKENS
    before = sizes.melody + TEXT_TOKENS if sizes.melody else 0
    tokens = sequences * (positions + before)
    layers = sizes.layers - first_trained_block(training, sizes.layers)
    block = _block(spec, sizes, tokens, sequences * heard, gpu=gpu)
    kept = [Kept(block // 20, 20 * layers)]
    if training.activation_checkpointing:
        kept = [Kept(FP32 * tokens * sizes.width, layers), Kept(block // 20, 20)]
    if training.strategy == "dora":
        kept.append(Kept(DORA_MATRICES * sizes.width**2 // 10, 10 * layers))
    if value < FP32:
        kept.append(Kept(value * 16 * sizes.width**2 // 8, 8 * layers))  # weights as the products read them
    kept.append(Kept(FP32 * tokens * sizes.width, 7))  # around the blocks
    kept.append(Kept(FP32 * sequences * positions * sizes.codebook_size, sizes.codebooks))
    whole = sizes.decoder + sizes.text_encoder + sizes.codec
    trained = trained_parameters(training, sizes.layers, sizes.width, melodic=sizes.melody > 0)
    if trained is None:
        trained = sizes.decoder + (sizes.text_encoder if sizes.learns_text else 0)
        resting = whole - trained
    else:
        resting = whole - (trained if training.strategy == "selective" else 0)
    rows = VALIDATION_ROWS * (positions + before)
    return Footprint(
        libraries=LIBRARIES,
        trained=trained,
        resting=resting,
        largest_weight=4 * sizes.width**2,
        kept=tuple(kept),
        momentary=max(
            2 * FP32 * sequences * positions * sizes.codebook_size,  # of a head: they are taken one at a time
            2 * 4 * value * tokens * sizes.width,  # gradients on both sides of a GELU
        ),
        validation=FP32 * rows * (12 * sizes.width + 3 * sizes.codebook_size),
        reading=FP32 * whole * (2 if started else 1) + (FP32 * whole if training.peft.merge else 0),
    )


def _block(spec: JobSpec, sizes: MusicGenSizes, tokens: int, heard: int, *, gpu: bool) -> int:
    """Bytes that a block of the decoder keeps."""
    training = spec.training
    assert training is not None
    masks = DROPOUTS * (1 if gpu else FP32) if training.regularization.dropout > 0 else 0
    widths = KEPT[training.strategy] + masks
    part = 1.0 if bytes_a_value(training.precision) == FP32 else KEPT_BF16
    states = 14 * heard  # keys and values of the text
    attention = 16 * tokens * sizes.heads  # sums of the softmax
    return int(part * sizes.width * (widths * tokens + states)) + attention
