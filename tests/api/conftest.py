"""A real API server that knows the MusicTrainingJob."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.kubernetes_api import ApiServer
from support.verdict import Judge, judging


@pytest.fixture(scope="session")
def judge(api_server: ApiServer) -> Iterator[Judge]:
    """Says what the API server thinks of a job."""
    with judging(api_server) as judge:
        yield judge
