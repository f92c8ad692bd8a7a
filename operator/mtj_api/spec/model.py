"""``spec.model``: which model is trained."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from mtj_api.spec.base import Distinct, Rule, SpecModel, Url, derived
from mtj_api.spec.reference import JobReference

Family = Literal["symbolic", "codec", "musicgen", "audiogen"]
MusicalCondition = Literal["key", "metre", "tempo", "instruments"]
Condition = Literal["key", "metre", "tempo", "instruments", "text", "melody"]
SizeClass = Literal["small", "medium", "large", "xl"]

MUSICGEN_FAMILIES = frozenset({"musicgen", "audiogen"})
"""Language models of a codec's tokens, of one class."""

Stride = Annotated[int, Field(ge=1, le=16)]

AUDIO_FAMILIES = MUSICGEN_FAMILIES | {"codec"}
"""Families that are trained on recordings."""

CONDITIONS: dict[str, tuple[str, ...]] = {
    "symbolic": get_args(MusicalCondition),
    "codec": (),
    "musicgen": ("text", "melody"),
    "audiogen": ("text",),
}
"""What a model of each family can listen to."""


class Architecture(SpecModel):
    """A decoder-only transformer from scratch."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.width % (2 * self.heads) == 0",
            lambda a: a.width % (2 * a.heads) == 0,
            "width must be an even multiple of heads, as 192 is of 3",
            "width",
        ),
    )

    layers: int = Field(default=4, ge=1, le=128)
    """Transformer blocks."""
    width: int = Field(default=192, ge=16, le=16_384)
    """Size of a token's vector."""
    heads: int = Field(default=3, ge=1, le=256)
    """Attention heads; 64 wide each is a good size."""
    """Attention heads, which share the width."""
    context: int = Field(default=512, ge=32, le=65_536)
    """Tokens a training sequence holds, conditions included; of a musicgen or audiogen model, frames of its codec."""


class CodecArchitecture(SpecModel):
    """A neural audio codec from scratch (Kumar et al. 2023, arXiv 2306.06546)."""

    encoder_width: int = Field(default=16, ge=4, le=512)
    """Channels after the encoder's first layer; each stride doubles them."""
    strides: Annotated[list[Stride], Field(min_length=1, max_length=8)] = Field(default_factory=lambda: [4, 4, 4, 5])
    """By how much each of the encoder's blocks shortens the signal; their product is a frame's samples."""
    decoder_width: int = Field(default=192, ge=16, le=8192)
    """Channels of the decoder's first layer; each stride halves them."""
    codebooks: int = Field(default=6, ge=1, le=32)
    """Stages of residual quantization: tokens a frame."""
    codebook_size: int = Field(default=512, ge=2, le=65_536)
    """Entries of each codebook."""
    codebook_dim: int = Field(default=8, ge=2, le=256)
    """Size of an entry; small, so that all entries come into use."""


class CodecSource(SpecModel):
    """The codec whose tokens a model from scratch writes."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.url) != has(self.from)",
            lambda c: (c.url is None) != (c.from_job is None),
            "give either url, a codec's folder, or from, the job that trains it",
        ),
    )

    url: Url | None = None
    """A folder with a codec: published by a job of the family codec, or saved by transformers (dac, encodec)."""
    from_job: JobReference | None = Field(default=None, alias="from")
    """A job of the family codec."""


class Model(SpecModel):
    """The model and what it listens to."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.pretrained) && has(self.from))",
            lambda m: m.pretrained is None or m.from_job is None,
            "give either pretrained or from: a model starts from one other",
            "from",
        ),
        Rule(
            "!((has(self.pretrained) || has(self.from)) && has(self.architecture))",
            lambda m: not m.is_started or m.architecture is None,
            "give either pretrained or from, which bring their own architecture, or architecture",
            "architecture",
        ),
        Rule(
            "!has(self.codecArchitecture) || (self.family == 'codec' && !has(self.pretrained) && !has(self.from))",
            lambda m: m.codec_architecture is None or (m.family == "codec" and not m.is_started),
            "codecArchitecture is for the family codec from scratch; leave it out here",
            "codecArchitecture",
        ),
        Rule(
            "!has(self.architecture) || self.family != 'codec'",
            lambda m: m.architecture is None or m.family != "codec",
            "architecture has the sizes of a transformer; write codecArchitecture for the family codec",
            "architecture",
        ),
        Rule(
            "(has(self.codec) || has(self.pretrained) || has(self.from)) || !(self.family in ['musicgen', 'audiogen'])",
            lambda m: m.codec is not None or m.is_started or m.family not in MUSICGEN_FAMILIES,
            "from scratch this family needs a codec; write codec: {from: {job: NAME}} or codec: {url: FOLDER}, or "
            "start from a checkpoint by pretrained, such as facebook/musicgen-small",
            "codec",
        ),
        Rule(
            "!has(self.codec) || (self.family in ['musicgen', 'audiogen'] && !has(self.pretrained) && !has(self.from))",
            lambda m: m.codec is None or (m.family in MUSICGEN_FAMILIES and not m.is_started),
            "codec is for the families musicgen and audiogen from scratch; a pretrained model brings its own",
            "codec",
        ),
        Rule(
            "!has(self.conditioning) || self.conditioning.all(c, self.family == 'symbolic' ? "
            "c in ['key', 'metre', 'tempo', 'instruments'] : self.family == 'musicgen' ? c in ['text', 'melody'] : "
            "self.family == 'audiogen' && c == 'text')",
            lambda m: m.conditioning is None or set(m.conditioning) <= set(CONDITIONS[m.family]),
            "symbolic listens to key, metre, tempo and instruments, musicgen to text and melody, audiogen to text, and "
            "codec to nothing; leave the others out",
            "conditioning",
        ),
    )

    family: Family = "symbolic"
    """``symbolic``: a decoder-only transformer over MIDI tokens. ``codec``: a neural audio codec. ``musicgen``,
    ``audiogen``: a transformer over a codec's tokens that follows a text."""
    pretrained: Url | None = None
    """A model to start from: published by an earlier job, or for musicgen and audiogen a checkpoint of transformers or
    audiocraft: a folder, ``s3://bucket/prefix``, or a hub's name such as ``facebook/musicgen-small`` (write
    ``./owner/name`` for a folder of such a name)."""
    from_job: JobReference | None = Field(default=None, alias="from")
    """Start from the model of another job, once that is done."""
    codec: CodecSource | None = None
    """The codec under a musicgen or audiogen model from scratch."""
    architecture: Architecture | None = derived()
    """The sizes of a transformer from scratch."""
    codec_architecture: CodecArchitecture | None = derived()
    """The sizes of a codec from scratch."""
    size: SizeClass = derived()
    """The row of the guide's size table that sets batch size and rates; follows from the architecture."""
    conditioning: Annotated[list[Condition], Field(max_length=6), Distinct] = derived()
    """What the model listens to, and so what may be asked of it."""
    condition_dropout: float = Field(default=0.1, ge=0.0, le=1.0)
    """How often a condition is hidden in training, so that the model also works without it; musicgen and audiogen
    need that for guidance."""

    @property
    def is_started(self) -> bool:
        """Whether training goes on from a model that is there."""
        return self.pretrained is not None or self.from_job is not None
