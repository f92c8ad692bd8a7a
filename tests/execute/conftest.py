"""Stages that leave notes, for executors on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.witness import Witness


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    folder = tmp_path / "witness"
    folder.mkdir()
    return Witness(folder)
