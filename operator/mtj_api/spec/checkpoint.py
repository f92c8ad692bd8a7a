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
    """Newest checkpoints that are kept; the best by validation loss is kept besides."""
