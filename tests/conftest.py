"""What tests of several concepts share: the real servers that they talk to, and the order in which they run."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from support import kubernetes_api, nvml_library, seaweedfs, turns

pytest.register_assert_rewrite("support.executor_contract")


def pytest_addoption(parser: pytest.Parser) -> None:
    own = "a cluster to run the tests of clusters on, instead of the one of `make cluster`"
    parser.addoption("--kubeconfig", type=Path, metavar="FILE", help=own)
    parser.addoption("--on-demand", action="store_true", help="what is marked so, and nothing else")


@pytest.hookimpl(tryfirst=True)  # before what is slow is left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("on_demand")
    items[:] = turns.in_turn(item for item in items if bool(item.get_closest_marker("on_demand")) == wanted)
    turns.allow_for_build(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False
    return turns.ByFile(config, log)


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


@pytest.fixture(scope="session", name="nvml_library")
def _nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in for the library of NVIDIA's driver."""
    return nvml_library.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kubernetes_api.ApiServer]:
    """A running API server without nodes, with the controllers that clean up; a test works in a namespace of its own.

    Who wants to end it, or other controllers, starts one with ``kubernetes_api.running``.
    """
    cleaners = ("garbage-collector-controller", "namespace-controller", "serviceaccount-controller")
    with kubernetes_api.running(tmp_path_factory.mktemp("kubernetes"), controllers=cleaners) as server:
        yield server
