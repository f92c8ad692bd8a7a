"""The executors that keep the contract."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mtj_operator.execute import Executor, LocalExecutor
from support.witness import Witness


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    folder = tmp_path / "witness"
    folder.mkdir()
    return Witness(folder)


@pytest.fixture(params=["local"])
def new_executor(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Executor]:
    """Makes each executor that there is; those of one test run the same job."""
    assert request.param == "local"
    return lambda: LocalExecutor(tmp_path / "work", os.environ, announce=lambda _line: None, grace_seconds=20.0)


@pytest.fixture
def executor(new_executor: Callable[[], Executor]) -> Executor:
    return new_executor()
