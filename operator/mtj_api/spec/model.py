"""``spec.model``: which model is trained."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from mtj_api.spec.base import Distinct, Rule, SpecModel, Url, derived

Condition = Literal["key", "metre", "tempo", "instruments"]
SizeClass = Literal["small", "medium", "large", "xl"]


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
    """Tokens a training sequence holds, conditions included."""


class Model(SpecModel):
    """The model and what it listens to."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.pretrained) && has(self.architecture))",
            lambda m: m.pretrained is None or m.architecture is None,
            "give either pretrained, which brings its own architecture, or architecture",
            "architecture",
        ),
    )

    family: Literal["symbolic"] = "symbolic"
    """``symbolic``: a decoder-only transformer over MIDI tokens."""
    pretrained: Url | None = None
    """A model published by an earlier job, to start from."""
    architecture: Architecture | None = derived()
    """The sizes of a model from scratch."""
    size: SizeClass = derived()
    """The row of the guide's size table that sets batch size and rates; follows from the architecture."""
    conditioning: Annotated[list[Condition], Field(max_length=4), Distinct] = Field(
        default_factory=lambda: list(get_args(Condition))
    )
    """What a request may ask for."""
    condition_dropout: float = Field(default=0.1, ge=0.0, le=1.0)
    """How often a condition is hidden in training, so that the model also works without it."""
