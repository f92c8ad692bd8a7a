"""``spec.evaluation``: how the model is judged and what it is asked to play (guide: Model Evaluation)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mtj_api.spec.base import Distinct, SpecModel, derived

KEY = r"^[A-G][#b]?(maj|min)$"
METRE = r"^[1-9][0-9]?/(1|2|4|8|16)$"

Key = Annotated[str, StringConstraints(max_length=16, pattern=KEY)]
Metre = Annotated[str, StringConstraints(max_length=16, pattern=METRE)]
Instrument = Annotated[int, Field(ge=0, le=128)]


class CompositionRequest(SpecModel):
    """What a sample should be. What is not said is left to the model."""

    key: Key | None = None
    """Such as ``Cmaj`` or ``F#min``."""
    metre: Metre | None = None
    """Such as ``4/4``."""
    tempo: float | None = Field(default=None, ge=20.0, le=300.0)
    """Quarter notes a minute."""
    instruments: Annotated[list[Instrument], Field(min_length=1, max_length=16), Distinct] | None = None
    """General MIDI programs from 0; 128 is a drum kit."""
    bars: int = Field(default=8, ge=1, le=512)
    """Length."""


class Sampling(SpecModel):
    """How tokens are drawn."""

    temperature: float = Field(default=0.95, gt=0.0, le=5.0)
    """Below 1 the likely tokens are preferred, above 1 the unlikely ones."""
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    """Draw from the smallest set of tokens with this probability (nucleus sampling)."""


class Evaluation(SpecModel):
    """What is measured and made when training is done."""

    every_steps: int = derived(ge=1, le=10_000_000)
    """How often the validation loss is taken while training."""
    requests: Annotated[list[CompositionRequest], Field(max_length=64)] = derived()
    """Pieces to compose."""
    continuations: int = Field(default=2, ge=0, le=64)
    """Held-out pieces whose opening the model continues."""
    sampling: Sampling = Field(default_factory=Sampling)
    render: Literal["auto", "none"] = "auto"
    """``auto`` renders samples to WAV, with FluidSynth where it is installed and as plain tones where not."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Another seed gives other samples."""
