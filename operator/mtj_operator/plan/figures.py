"""Figures as trainings tell them, who may tell anything: what of it a status can hold."""

from __future__ import annotations

import math

_WHOLE = 2**53
"""From here on not every reader of JSON tells whole numbers apart, and beyond 64 bits the API server refuses them."""


def count(value: object) -> int | None:
    """A number of steps, or of anything else that is counted; ``None`` for what is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _WHOLE else None


def figure(value: object) -> float | None:
    """A finite number; ``None`` for what is none, as a whole number of hundreds of digits is."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
