"""Recordings to training segments: one format, one loudness, cut where the music lets one cut."""

from mtj_trainer.prepare.audio.recording import Recording, Segment, prepare_recording

__all__ = ["Recording", "Segment", "prepare_recording"]
