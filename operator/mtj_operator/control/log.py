"""Log lines: one a turn of the story, as words with ``key=value``, or as JSON for programs."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

_FIELDS = "fields"


class Log:
    """Writes lines about one part of the operator.

    Args:
        part: the part's name.
    """

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(f"mtj.{part}")

    def say(self, text: str, **fields: object) -> None:
        """A turn of the story."""
        self._logger.info(text, extra={_FIELDS: fields})

    def detail(self, text: str, **fields: object) -> None:
        """A small step, for whoever looks for a fault."""
        self._logger.debug(text, extra={_FIELDS: fields})

    def warn(self, text: str, **fields: object) -> None:
        """Something that a person may have to look at."""
        self._logger.warning(text, extra={_FIELDS: fields})

    def fault(self, text: str, error: BaseException, **fields: object) -> None:
        """An error that nobody foresaw: where it came from, and the whole traceback for whoever looks for a fault."""
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        fields |= {"error": f"{type(error).__name__}: {error}", "where": where}
        details = error if self._logger.isEnabledFor(logging.DEBUG) else None
        self._logger.error(text, extra={_FIELDS: fields}, exc_info=details)


def set_up(*, json_lines: bool, verbose: bool) -> None:
    """Send all lines of this process to its standard error; kopf's own only where they warn."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if json_lines else _Words())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("mtj").setLevel(logging.DEBUG if verbose else logging.INFO)


class _Words(logging.Formatter):
    """``2026-01-01T00:00:00.000Z INFO reconcile created Job job=default/chorales name=chorales-train-1``."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [_time(record), record.levelname, _part(record), record.getMessage()]
        parts.extend(f"{name}={_value(value)}" for name, value in _fields(record).items())
        return " ".join(parts) + _traceback(self, record)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname,
            "part": _part(record),
            "message": record.getMessage() + _traceback(self, record),
            **_fields(record),
        }
        return json.dumps(line, default=str)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _part(record: logging.LogRecord) -> str:
    return record.name.removeprefix("mtj.")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, _FIELDS, {})
    return fields


def _value(value: object) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return json.dumps(text) if not text or not text.isprintable() or any(letter in ' "=' for letter in text) else text


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return f"\n{formatter.formatException(record.exc_info)}" if record.exc_info else ""
