"""Times in a status, in whole seconds: RFC 3339 in UTC, as ``2026-01-31T12:00:00Z``."""

from __future__ import annotations

import math
from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """The whole second that ``seconds`` since 1970 lie in."""
    return datetime.fromtimestamp(math.floor(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str | None) -> float | None:
    """Seconds since 1970; ``None`` for nothing, and for what is no such time, since anybody may write into a status."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time.timestamp() if time.tzinfo is not None else None
