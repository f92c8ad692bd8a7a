"""From the bytes of one recording to its training segments: the guide's Audio Preprocessing, in order.

decode -> mix down -> resample -> trim -> loudness with peaks limited -> cut at phrases -> fade -> FLAC, features

Invariant: a function of its arguments alone; the same bytes and settings give the same segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mtj_api.spec import AudioPreparation, Segmentation
from mtj_trainer.prepare.audio.analysis import Analysis
from mtj_trainer.prepare.audio.decode import decode
from mtj_trainer.prepare.audio.encode import faded, to_flac
from mtj_trainer.prepare.audio.features import Features, extract_features
from mtj_trainer.prepare.audio.levels import Levels, measure_levels
from mtj_trainer.prepare.audio.loudness import apply_gain, mastering_gain
from mtj_trainer.prepare.audio.marks import beats, changes, pauses
from mtj_trainer.prepare.audio.segment import Mark, Span, plan_segments
from mtj_trainer.prepare.audio.silence import sounding_part
from mtj_trainer.prepare.audio.tags import read_tags
from mtj_trainer.prepare.quarantine import Unusable


@dataclass(frozen=True)
class Segment:
    """A piece of a recording, ready to train on.

    Attributes:
        start_seconds: where it begins in the original.
        seconds: how long it is.
        flac: the audio.
        features: those that were asked for, by name; see ``features`` for shapes and units.
    """

    start_seconds: float
    seconds: float
    flac: bytes
    features: Features


@dataclass(frozen=True)
class Recording:
    """A recording and its segments.

    Attributes:
        duration_seconds: of the original.
        sample_rate: of the original.
        channels: of the original.
        tags: those of title, artist, album (str), genre (list of str) and year (int) that the file has.
        segments: in order.
        tempo: beats a minute, if that feature was asked for and there is a pulse.
        key: such as ``Cmaj``, if that feature was asked for and a pitch stands out.
    """

    duration_seconds: float
    sample_rate: int
    channels: int
    tags: dict[str, Any]
    segments: list[Segment]
    tempo: float | None
    key: str | None


def prepare_recording(data: bytes, name: str, settings: AudioPreparation) -> Recording:
    """Standardize, cut and describe one recording.

    Args:
        data: a wav, flac, ogg or mp3 file.
        name: what to call it in errors.
        settings: ``spec.dataset.audio``.

    Raises:
        Unusable: what ``decode`` says, ``silent`` or ``too-short``.
    """
    rate = settings.sample_rate
    decoded = decode(data, name, rate, settings.channels)
    levels = measure_levels(decoded.samples, rate)
    sounding = sounding_part(levels)
    if sounding is None and len(decoded.samples):
        raise Unusable("silent", f"{name} holds no sound above -70 LUFS")
    first, last = sounding if sounding and settings.trim_silence else (0, len(levels.power))
    levels = levels.part(first, last)
    samples = decoded.samples[first * levels.hop : last * levels.hop]
    if len(samples) < settings.segment.min_seconds * rate:
        least = settings.segment.min_seconds
        raise Unusable(
            "too-short", f"{name} has {len(samples) / rate:.1f} s of sound; a segment has at least {least:g} s"
        )
    apply_gain(samples, mastering_gain(levels, settings.loudness_lufs, settings.peak_dbfs), levels.hop)

    analysis = Analysis(samples, rate)
    segments = []
    for span in _cut(levels, analysis, len(samples), settings.segment):
        piece = faded(samples[span.start : span.end], round(settings.fade_seconds * rate))
        segments.append(
            Segment(
                start_seconds=(first * levels.hop + span.start) / rate,
                seconds=len(piece) / rate,
                flac=to_flac(piece, rate, settings.bit_depth),
                features=extract_features(piece, rate, settings.features),
            )
        )
    return Recording(
        duration_seconds=decoded.duration_seconds,
        sample_rate=decoded.sample_rate,
        channels=decoded.channels,
        tags=read_tags(data),
        segments=segments,
        tempo=analysis.rhythm.tempo if "tempo" in settings.features else None,
        key=analysis.key if "key" in settings.features else None,
    )


def _cut(levels: Levels, analysis: Analysis, frames: int, segmentation: Segmentation) -> list[Span]:
    """Cut at pauses where that suffices; else look for changes of sound and beats too, which costs a spectrogram."""
    rate = levels.sample_rate
    marks: list[Mark] = []
    if segmentation.boundaries == "phrase":
        marks = pauses(levels)
    spans = plan_segments(frames, rate, segmentation, marks)
    if segmentation.boundaries == "none" or {span.end for span in spans[:-1]} <= {mark.frame for mark in marks}:
        return spans
    if segmentation.boundaries == "phrase":
        marks += changes(analysis.rhythm, rate)
    return plan_segments(frames, rate, segmentation, marks + beats(analysis.rhythm, rate))
