"""The one error a user of the system meets: a sentence that says what, where, and what to write instead."""

from __future__ import annotations

from typing import Any


class JobError(Exception):
    """A job, or something it points to, that cannot work.

    Args:
        what: what is wrong, without a final full stop.
        where: the file, line and field, or the URL, that it is about.
        instead: what to write or do instead, as an imperative.
    """

    def __init__(self, what: str, *, where: str = "", instead: str = "") -> None:
        self.what = what
        self.where = where
        self.instead = instead
        super().__init__(what, where, instead)

    def __str__(self) -> str:
        prefix = f"{self.where}: " if self.where else ""
        suffix = f"; {self.instead}" if self.instead else ""
        return visible(f"{prefix}{self.what}{suffix}")

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it survives the way from one process to another, whatever its kind's own arguments are."""
        return _again, (type(self), vars(self))

    def at(self, place: str) -> JobError:
        """The same error with ``place`` (a file name, say) put before what it already says of where."""
        where = f"{place}: {self.where}" if self.where else place
        return JobError(self.what, where=where, instead=self.instead)


def visible(text: str) -> str:
    """The text with what a terminal or a log would act on, such as an escape or a line break, written out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _again(kind: type[JobError], attributes: dict[str, Any]) -> JobError:
    error = kind.__new__(kind, attributes["what"], attributes["where"], attributes["instead"])
    vars(error).update(attributes)
    return error
