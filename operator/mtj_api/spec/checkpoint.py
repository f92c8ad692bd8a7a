"""``spec.checkpoint``: what survives a lost process."""

from __future__ import annotations

from pydantic import Field

from mtj_api.spec.base import SpecModel, Url, derived


class Checkpoint(SpecModel):
    """Where and how often the whole state of training is saved."""

    url: Url = derived()
    """Where checkpoints lie."""
    every_steps: int = derived(ge=1, le=10_000_000)
    """How often one is saved; one is also saved at the end, and when training is told to stop."""
    keep: int = Field(default=2, ge=1, le=1000)
    """Newest checkpoints that are kept. The best weights by validation loss, which are published, are kept besides."""
    keep_best: int = Field(default=0, ge=0, le=1000)
    """Checkpoints with the lowest validation loss that are kept besides, of those saved at a step that is validated."""
    keep_every_steps: int = Field(default=0, ge=0, le=10_000_000)
    """Checkpoints at multiples of this are kept for good; a multiple of everySteps, or 0 for none."""
