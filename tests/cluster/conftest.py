"""What tests on a real cluster start from: the cluster, a namespace of their own, storage, Prometheus and the operator.

All tests of this folder run in one process, one after another: see ``support.turns``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support import cluster as clusters
from support import cluster_prometheus, seaweedfs
from support.applied_jobs import Namespace
from support.cluster import Cluster
from support.kubectl import REPOSITORY, Kubectl
from support.prometheus import Prometheus
from support.seaweedfs import S3Server

S3_SECRET = "s3"


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two nodes; the cluster of ``make cluster``, or that of ``--kubeconfig``."""
    with clusters.running(request.config.getoption("kubeconfig")) as found:
        yield found


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl for a fresh namespace under Pod Security "restricted"."""
    with clusters.fresh_namespace(cluster.kubectl) as kubectl:
        yield kubectl


@pytest.fixture
def python_packages(namespace: Kubectl) -> Iterator[dict[str, Any]]:
    """``volumes``, ``volumeMounts`` and ``env`` with which a pod of the trainer's image has our packages."""
    with clusters.python_packages(namespace) as parts:
        yield parts


@pytest.fixture(scope="session")
def _s3(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs.running(tmp_path_factory.mktemp("s3"), cluster.host_address) as server:
        yield server


@pytest.fixture
def s3(_s3: S3Server, namespace: Kubectl) -> S3Server:
    """An S3 server that pods reach with what the namespace's Secret ``s3`` says."""
    metadata = {"name": S3_SECRET}
    namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": _s3.environment})
    return _s3


@pytest.fixture(scope="session")
def prometheus(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Debian's Prometheus, which finds what is annotated for it."""
    with cluster_prometheus.running(tmp_path_factory.mktemp("prometheus"), cluster.kubectl) as server:
        yield server


@pytest.fixture(scope="session")
def operator(cluster: Cluster) -> Iterator[Kubectl]:
    """The operator, from its image and under the rights that ship; kubectl for its namespace."""
    folder = REPOSITORY / "tests/cluster/operator"
    kubectl = cluster.kubectl.within("mtj-system")
    was_there = kubectl("get", "deployment", "mtj-operator", "--ignore-not-found", "--output=name")
    kubectl("apply", "--server-side", f"--kustomize={folder}")
    if was_there:  # its image may be another one now, under the same name
        kubectl("rollout", "restart", "deployment/mtj-operator")
    kubectl("rollout", "status", "deployment/mtj-operator", "--timeout=110s")
    yield kubectl
    if not was_there:
        kubectl("delete", f"--kustomize={folder}", "--timeout=60s")


@pytest.fixture(scope="module")
def jobs(cluster: Cluster, operator: Kubectl, _s3: S3Server) -> Iterator[Namespace]:
    """A namespace under Pod Security "restricted" in which jobs can run; this process reads what their pods write."""
    with (
        clusters.fresh_namespace(cluster.kubectl) as kubectl,
        clusters.python_packages(kubectl) as packages,
        pytest.MonkeyPatch.context() as environment,
    ):
        for name, value in _s3.environment.items():
            environment.setenv(name, value)
        yield Namespace(kubectl, _s3, packages)
