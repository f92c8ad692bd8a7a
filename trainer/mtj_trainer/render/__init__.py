"""From notes to sound."""

from mtj_trainer.render.fluidsynth import render_midi

__all__ = ["render_midi"]
