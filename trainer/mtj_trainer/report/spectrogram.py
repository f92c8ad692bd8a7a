"""A mel spectrogram as a picture: what sounds when, and how high, with seconds and Hz beside it.

Invariant: loudness is opacity over the page's own ground, in hues that stand out from white and from black, so that
one picture serves light, dark and print.
"""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from mtj_trainer.evaluate.audio.mel import FLOOR_DB, log_mel
from mtj_trainer.report.numbers import tick_text, ticks
from mtj_trainer.report.png import palette_png

Floats = npt.NDArray[np.float32]

WIDTH, HEIGHT = 560, 176
LEFT, BOTTOM, TOP = 34, 18, 6

BANDS = 80
COLUMNS = 400
"""More would not be seen, and make the page heavy."""

DEPTH_DB = 70.0
"""What is so far below the loudest is not drawn."""

QUIETEST_DB = -40.0
"""Where all is below it, this is taken for the loudest, so that silence does not look like music."""

LEVELS = 24
"""Shades: with more the eye sees no more, and the file is larger."""

HZ_TICKS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
_LABEL_GAP = 14.0

_RAMP = ((0.0, (59, 108, 214, 0)), (0.45, (72, 98, 214, 150)), (0.75, (196, 70, 140, 225)), (1.0, (240, 140, 40, 255)))
"""Place between faint and loudest, and its red, green, blue and opacity."""


def spectrogram(audio: Floats, rate: int, title: str, *, seconds: float | None = None, width: int = WIDTH) -> Markup:
    """Draw (n,) or (n, channels) samples in -1 to 1.

    Args:
        seconds: how long the picture lasts; as long as the samples by default. Pictures to be compared share it.
        width: of the whole picture; less where it is shown small, so that its labels can still be read.
    """
    mono = audio if audio.ndim == 1 else audio.mean(axis=1)
    end = seconds or max(len(mono) / rate, 1e-3)
    level = _columns(mono, rate, end)
    png = palette_png(_shades(level), _palette())
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    base = HEIGHT - BOTTOM
    extent = f'width="{width - LEFT}" height="{base - TOP}"'
    parts = [
        f'<image x="{LEFT}" y="{TOP}" {extent} preserveAspectRatio="none" href="{source}"/>',
        f'<path class="axis" d="M{LEFT} {TOP}V{base}H{width}"/>',
        *_hertz_axis(rate),
        *_seconds_axis(end, width),
        f'<line class="playhead" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{base}" data-from="{LEFT}" data-to="{width}"/>',
    ]
    described = f"Mel spectrogram of {title}: {end:.0f} seconds, up to {rate / 2000:g} kHz"
    return Markup(  # noqa: S704 - the description is escaped, all else are numbers and base64
        f'<svg class="roll" viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(described)}">'
        f"{''.join(parts)}</svg>"
    )


def _columns(mono: Floats, rate: int, end: float) -> Floats:
    """(BANDS, columns) dB, each column the loudest of its frames; silence after the samples' end."""
    window = 2048 if rate > 24_000 else 1024
    hop = max(window // 8, min(window // 2, round(end * rate / COLUMNS)))
    level = log_mel(mono, rate, bands=BANDS, window=window, hop=hop) if len(mono) else np.empty((BANDS, 0), np.float32)
    frames = max(1, round(end * rate / hop))
    silent = np.full((BANDS, max(0, frames - level.shape[1])), -np.inf, np.float32)
    whole = np.concatenate([level[:, :frames], silent], axis=1)
    parts = np.array_split(whole, min(COLUMNS, frames), axis=1)
    return np.stack([part.max(axis=1) for part in parts], axis=1)


def _shades(level: Floats) -> npt.NDArray[np.uint8]:
    """(BANDS, columns) of (BANDS, columns) dB, the highest band first; relative to the loudest."""
    loudest = max(float(level.max(initial=-np.inf)), QUIETEST_DB)
    place = np.where(level > FLOOR_DB, np.clip((level - loudest) / DEPTH_DB + 1.0, 0.0, 1.0), 0.0)
    return np.round(place[::-1] * (LEVELS - 1)).astype(np.uint8)


def _palette() -> npt.NDArray[np.uint8]:
    place = np.linspace(0.0, 1.0, LEVELS)
    stops = [stop for stop, _ in _RAMP]
    columns = [np.interp(place, stops, [colour[channel] for _, colour in _RAMP]) for channel in range(4)]
    return np.round(np.stack(columns, axis=1)).astype(np.uint8)


def _hertz_axis(rate: int) -> list[str]:
    """Labels and marks; a label that would touch the one below it is left out."""
    parts: list[str] = []
    base, last = HEIGHT - BOTTOM, float(HEIGHT)
    for hertz in HZ_TICKS:
        at = base - _mel(hertz) / _mel(rate / 2) * (base - TOP)
        if hertz >= rate / 2 or last - at < _LABEL_GAP or at < TOP:
            continue
        last = at
        parts.append(f'<path class="axis" d="M{LEFT - 4} {at:.1f}H{LEFT}"/>')
        label = f"{hertz // 1000}k" if hertz >= 1000 else str(hertz)
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    parts.append(f'<text class="tick" x="{LEFT - 7}" y="{HEIGHT - 3}" text-anchor="end">Hz</text>')
    return parts


def _seconds_axis(end: float, width: int) -> list[str]:
    marks = [value for value in ticks(0.0, end, 6) if value <= end + 1e-9]
    step = marks[1] - marks[0] if len(marks) > 1 else end
    parts = []
    for value in marks:
        x = LEFT + value / end * (width - LEFT)
        anchor = "start" if value == 0 else "end" if x > width - 12 else "middle"
        label = tick_text(value, step) + (" s" if value == 0 else "")
        parts.append(f'<path class="axis" d="M{x:.1f} {HEIGHT - BOTTOM}v4"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 3}" text-anchor="{anchor}">{label}</text>')
    return parts


def _mel(hertz: float) -> float:
    """On the scale of the bands (HTK's)."""
    return float(2595 * np.log10(1 + hertz / 700))
