"""Each kind of storage that the contract holds for: a folder, and a prefix of a bucket on a real S3 server."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtj_trainer.storage import Storage, open_storage


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("s3_url"))
    return f"{tmp_path}/the music"


@pytest.fixture
def storage(url: str) -> Storage:
    return open_storage(url)
