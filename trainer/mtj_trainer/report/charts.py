"""Charts as inline SVG, drawn by hand: axes on round numbers, series named where they end, nothing to decode.

Invariant: colours come from the page's CSS classes, so that a chart follows light, dark and print; each chart has a
title and a description for those who do not see it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from mtj_trainer.report.numbers import short, tick_text, ticks

Floats = npt.NDArray[np.float64]

WIDTH, HEIGHT = 460, 250
TOP, BOTTOM, LEFT, RIGHT = 30, 40, 52, 14
LABEL_GAP = 15
"""Between the names of two series, so that they do not overlap."""

LONGEST = 300
"""Points of a drawn line; more would not be seen and make the page heavy."""

BAR_HEIGHT = 34

NARROW = 0.02
"""A spread of values below this part of their size is not worth a histogram's width."""


@dataclass(frozen=True)
class Series:
    """A line: ``y`` over ``x``, both (N,); ``style`` is ``accent``, ``contrast`` or ``muted``."""

    name: str
    x: Floats
    y: Floats
    style: str = "accent"


@dataclass(frozen=True)
class Bar:
    """A horizontal bar; ``error`` is its standard error, drawn as a whisker."""

    name: str
    value: float
    style: str = "muted"
    error: float = 0.0


@dataclass(frozen=True)
class _Axis:
    """From values to pixels, and where the ticks are."""

    ticks: list[float]
    start: float
    end: float

    def at(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    @property
    def step(self) -> float:
        return self.ticks[1] - self.ticks[0]


def line_chart(series: Sequence[Series], *, title: str, x_label: str, from_zero: bool = False) -> Markup:
    """Lines over a common axis; the title says what is measured and in which unit."""
    drawn = [_thinned(each) for each in series if len(each.x)]
    if not drawn:
        return Markup("")
    right = RIGHT if len(drawn) == 1 else RIGHT + 8 + 7 * max(len(each.name) for each in drawn)
    values = np.concatenate([each.y for each in drawn])
    low = 0.0 if from_zero else float(values.min())
    y = _Axis(ticks(low, float(values.max()), 4), HEIGHT - BOTTOM, TOP)
    steps = np.concatenate([each.x for each in drawn])
    x = _x_axis(float(steps.min()), float(steps.max()), WIDTH - right)
    parts = [_frame(x, y, x_label, WIDTH - right)]
    labels = []
    for each in drawn:
        points = [(x.at(a), y.at(b)) for a, b in zip(each.x, each.y, strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline class="line {each.style}" points="{path}"/>')
        if len(points) <= 40:
            parts += [f'<circle class="dot {each.style}" cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>' for a, b in points]
        labels.append((points[-1], each))
    if len(drawn) > 1:
        parts += _end_labels(labels)
    ends = "; ".join(f"{each.name} from {short(each.y[0])} to {short(each.y[-1])}" for each in drawn)
    return _svg(WIDTH, HEIGHT, title, ends, [_title(title), *parts])


def bar_chart(bars: Sequence[Bar], *, title: str, text: Callable[[float], str] = short, width: int = WIDTH) -> Markup:
    """Horizontal bars from zero, each with its name before it and its value behind it."""
    if not bars:
        return Markup("")
    names = 16 + 8 * max(len(bar.name) for bar in bars)
    room = width - names - 10 - 8 * max(len(text(bar.value)) for bar in bars)
    largest = max(max(bar.value + bar.error for bar in bars), 1e-12)
    height = TOP + BAR_HEIGHT * len(bars) + 4
    parts = [_title(title)]
    for number, bar in enumerate(bars):
        top, middle = TOP + BAR_HEIGHT * number + 6, TOP + BAR_HEIGHT * number + BAR_HEIGHT / 2
        length, whisker = max(1.5, room * bar.value / largest), room * bar.error / largest
        parts.append(
            f'<text class="name" x="{names - 10}" y="{middle + 4}" text-anchor="end">{escape(bar.name)}</text>'
        )
        parts.append(
            f'<rect class="bar {bar.style}" x="{names}" y="{top}" width="{length:.1f}" '
            f'height="{BAR_HEIGHT - 12}" rx="3"/>'
        )
        if bar.error:
            begin, end = names + length - whisker, names + length + whisker
            parts.append(f'<path class="whisker" d="M{begin:.1f} {middle}H{end:.1f}"/>')
        value = f'<text class="value" x="{names + length + whisker + 8:.1f}" y="{middle + 4}">{text(bar.value)}</text>'
        parts.append(value)
    described = "; ".join(f"{bar.name} {text(bar.value)}" for bar in bars)
    return _svg(width, height, title, described, parts)


def histogram(values: Sequence[float], *, title: str, x_label: str, bins: int = 24) -> Markup:
    """How many of ``values`` fall into each of about ``bins`` bins with round edges."""
    if not len(values):
        return Markup("")
    data = np.asarray(values, dtype=np.float64)
    low, high = float(data.min()), float(data.max())
    if high - low < NARROW * abs(high):  # one value, but for rounding: a few bins around it
        low, high, bins = low - NARROW * abs(low), high + NARROW * abs(high), 5
    edges = np.array(ticks(low, high, bins))
    counts, _ = np.histogram(data, edges)
    y = _Axis(ticks(0.0, float(max(4, counts.max())), 4), HEIGHT - BOTTOM, TOP)
    x = _Axis([float(edge) for edge in edges], LEFT, WIDTH - RIGHT)
    shown = _Axis(ticks(float(edges[0]), float(edges[-1]), 5), 0, 1)
    labelled = [value for value in shown.ticks if edges[0] <= value <= edges[-1]]
    parts = [_title(title), _frame(x, y, x_label, WIDTH - RIGHT, labelled, shown.step)]
    for count, (begin, end) in zip(counts, pairwise(edges), strict=True):
        if count:
            left, top, base = x.at(begin), y.at(float(count)), y.at(0.0)
            parts.append(
                f'<rect class="bar accent" x="{left + 0.75:.1f}" y="{top:.1f}" '
                f'width="{max(1.0, x.at(end) - left - 1.5):.1f}" height="{base - top:.1f}"/>'
            )
    described = f"{len(data)} values from {short(data.min())} to {short(data.max())}, median {short(np.median(data))}"
    return _svg(WIDTH, HEIGHT, title, described, parts)


def waveform(audio: npt.NDArray[np.float32], title: str, width: int = 560, height: int = 90) -> Markup:
    """The envelope of (N, channels) samples in -1 to 1, one column a pixel and a half."""
    mono = np.abs(audio).max(axis=1) if audio.ndim > 1 else np.abs(audio)
    columns = np.array_split(mono, min(len(mono), width * 2 // 3)) if len(mono) else []
    peaks = [float(column.max()) for column in columns]
    step, middle = width / max(1, len(peaks)), height / 2
    upper = [f"{index * step:.1f},{middle - peak * middle:.1f}" for index, peak in enumerate(peaks)]
    lower = [f"{index * step:.1f},{middle + peak * middle:.1f}" for index, peak in reversed(list(enumerate(peaks)))]
    shape = f'<polygon class="wave" points="{" ".join(upper + lower)}"/>'
    head = f'<line class="playhead" x1="0" x2="0" y1="0" y2="{height}" data-from="0" data-to="{width}"/>'
    return _svg(width, height, title, "the recording's loudness over time", [shape, head], "roll")


def _x_axis(low: float, high: float, end: float) -> _Axis:
    """An axis that ends with the data, with ticks inside."""
    inner = [value for value in ticks(low, high, 5) if low - 1e-9 <= value <= high + 1e-9]
    return _Axis([low, *[value for value in inner if low < value < high], max(high, low + 1e-9)], LEFT, end)


def _frame(
    x: _Axis, y: _Axis, x_label: str, right: float, labelled: Sequence[float] | None = None, step: float | None = None
) -> str:
    base = y.start
    parts = []
    for value in y.ticks:
        at = y.at(value)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{right:.1f}"/>')
        label = tick_text(value, y.step)
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    marks = list(labelled) if labelled is not None else _sparse(x)
    gap = step or (marks[1] - marks[0] if len(marks) > 1 else 1.0)
    for value in marks:
        label = tick_text(value, gap)
        parts.append(
            f'<text class="tick" x="{x.at(value):.1f}" y="{base + 17:.1f}" text-anchor="middle">{label}</text>'
        )
    parts.append(f'<path class="axis" d="M{LEFT} {base:.1f}H{right:.1f}"/>')
    middle = (LEFT + right) / 2
    parts.append(f'<text class="label" x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    return "".join(parts)


def _sparse(x: _Axis) -> list[float]:
    """Round ticks of an axis whose ends are the data's own."""
    inner = x.ticks[1:-1]
    return inner if inner else [x.ticks[0], x.ticks[-1]]


def _end_labels(ends: list[tuple[tuple[float, float], Series]]) -> list[str]:
    """Names beside the last points, pushed apart where they would touch."""
    placed: list[str] = []
    lowest = -1e9
    for (x, y), series in sorted(ends, key=lambda end: end[0][1]):
        lowest = max(y + 4, lowest + LABEL_GAP)
        placed.append(
            f'<text class="series {series.style}" x="{x + 8:.1f}" y="{lowest:.1f}">{escape(series.name)}</text>'
        )
    return placed


def _thinned(series: Series) -> Series:
    """At most ``LONGEST`` points, each the mean of a stretch."""
    order = np.argsort(series.x, kind="stable")
    x, y = np.asarray(series.x, np.float64)[order], np.asarray(series.y, np.float64)[order]
    if len(x) > LONGEST:
        x = np.array([part.mean() for part in np.array_split(x, LONGEST)])
        y = np.array([part.mean() for part in np.array_split(y, LONGEST)])
    return Series(series.name, x, y, series.style)


def _title(text: str) -> str:
    return f'<text class="heading" x="0" y="14">{escape(text)}</text>'


def _svg(
    width: float, height: float, title: str, description: str, parts: Sequence[str], kind: str = "chart"
) -> Markup:
    return Markup(  # noqa: S704 - every text in the parts went through escape or is a number
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}: '
        f'{escape(description)}">{"".join(parts)}</svg>'
    )
