"""Why a source file is left out. A bad file is set aside with its reason and counted: never fatal, never silent."""

from __future__ import annotations


class Unusable(Exception):  # noqa: N818 - not an error of ours: the file is counted and the run goes on
    """A source file that cannot become training data.

    Attributes:
        reason: a slug that is counted and reported, such as ``truncated``, ``not-audio`` or ``too-short``.
        detail: one sentence for the person whose file it is.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it survives pickling on its way from a worker
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
