"""What speaks to a cluster comes with an extra; without it, a command that needs it says what to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mtj_api import JobError


@contextmanager
def needed() -> Iterator[None]:
    """Around the imports that need it.

    Raises:
        JobError: it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise JobError(
            f"what speaks to a cluster is not installed ({error.name})",
            instead="write pip install 'music-training-job[operator]'",
        ) from None
