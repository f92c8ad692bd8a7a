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
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Embedder = Literal["spectrogram", "clap", "encodec"]


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
    top_k: int = Field(default=250, ge=0, le=65_536)
    """Draw from so many of the likeliest tokens, of musicgen and audiogen; 0 is all of them."""
    guidance: float = Field(default=3.0, ge=1.0, le=20.0)
    """How far the text pulls musicgen and audiogen (classifier-free guidance); 1 is as trained."""


class Evaluation(SpecModel):
    """What is measured and made when training is done."""

    every_steps: int = derived(ge=1, le=10_000_000)
    """How often the validation loss is taken while training."""
    requests: Annotated[list[CompositionRequest], Field(max_length=64)] = derived()
    """Pieces that a symbolic model composes."""
    prompts: Annotated[list[Prompt], Field(max_length=64)] = Field(default_factory=list)
    """Texts that a musicgen or audiogen model plays, beside those of held-out music."""
    samples: int = Field(default=16, ge=2, le=10_000)
    """Clips of held-out music whose texts are played, or which a codec codes, to measure the distance from music."""
    seconds: float = Field(default=10.0, ge=0.5, le=600.0)
    """Length of these clips."""
    embedders: Annotated[list[Embedder], Field(min_length=1, max_length=3), Distinct] = Field(
        default_factory=lambda: list[Embedder](["spectrogram"])
    )
    """By what the distance is measured: ``spectrogram`` needs no weights, ``clap`` and ``encodec`` do."""
    continuations: int = Field(default=2, ge=0, le=64)
    """Held-out pieces whose opening the model continues."""
    sampling: Sampling = Field(default_factory=Sampling)
    render: Literal["auto", "none"] = "auto"
    """``auto`` renders samples to WAV, with FluidSynth where it is installed and as plain tones where not."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Another seed gives other samples."""
