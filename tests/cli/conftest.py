"""A folder of its own for each test of the command, so that relative paths and caches lie there."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a folder ``music``."""
    folder = tmp_path / "here"
    (folder / "music").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MTJ_WORK_DIR", str(tmp_path / "cache"))
    return folder
