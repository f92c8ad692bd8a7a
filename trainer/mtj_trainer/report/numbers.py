"""Numbers as people read them: ticks that fall on round values, and as many digits as matter."""

from __future__ import annotations

import math

_SMALLEST = 1e-300
"""Below this a range cannot be divided: its parts would be 0."""


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values, 1, 2 or 5 times a power of ten apart, that cover ``low`` to ``high``.

    The first is at most ``low`` and the last at least ``high``, so that an axis can end at them.
    """
    if high - low < _SMALLEST:
        high = low + (abs(low) if abs(low) > _SMALLEST else 1.0)
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_text(value: float, step: float) -> str:
    """A tick with the digits that tell it from its neighbours: ``2k``, ``0.25``, ``1e-05``."""
    if value == 0:
        return "0"
    if abs(value) >= 1000 and step >= 100:
        for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= size:
                return f"{value / size:.{_digits(step / size)}f}{letter}"
    if abs(step) < 1e-4:
        return f"{value:.{max(0, math.floor(math.log10(abs(value))) - math.floor(math.log10(step)))}e}"
    return f"{value:.{_digits(step)}f}"


def short(value: float) -> str:
    """Three significant digits, and whole numbers as they are: ``1.23``, ``0.0456``, ``12,345``."""
    if value == 0:
        return "0"
    if abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def duration(seconds: float) -> str:
    """``3.2 s``, ``4 min 5 s``, ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds else "0 s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _digits(step: float) -> int:
    """Decimals that a multiple of ``step`` needs."""
    return max(0, -math.floor(math.log10(step) + 1e-9))
