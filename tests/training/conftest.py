"""What tests of training start from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support import gang_of_two


@pytest.fixture
def machines() -> Iterator[ExitStack]:
    """Whatever is started in a test ends with it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Prepared data for a gang of two."""
    return gang_of_two.prepared(tmp_path_factory.mktemp("prepared"))
