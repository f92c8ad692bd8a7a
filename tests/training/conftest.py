"""What tests of training start from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest


@pytest.fixture
def machines() -> Iterator[ExitStack]:
    """Whatever is started in a test ends with it."""
    with ExitStack() as stack:
        yield stack
