"""What tests of several concepts share: the real servers that they talk to."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from support import seaweedfs


@pytest.fixture(scope="session")
def _s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweedfs.S3Server]:
    with seaweedfs.running(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture
def s3_server(_s3_server: seaweedfs.S3Server, monkeypatch: pytest.MonkeyPatch) -> seaweedfs.S3Server:
    """A running S3 server, which this process and its children reach through their environment."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_SKIP_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in _s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return _s3_server


@pytest.fixture
def s3_url(s3_server: seaweedfs.S3Server) -> str:
    """An empty prefix on the S3 server."""
    return f"s3://{seaweedfs.BUCKET}/{uuid.uuid4().hex}"
