"""An API server that knows all that the chart and the manifests may make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import neighbours
from support.helm import Object, program, rendered
from support.kubectl import REPOSITORY, Kubectl
from support.kubernetes_api import ApiServer

NAMESPACES = ("mtj-system", "music", "drums")
RIGHTS = ("ServiceAccount", "ClusterRole", "Role", "RoleBinding")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="session")
def helm() -> None:
    """Helm itself, which may have to be built first."""
    program()


@pytest.fixture(scope="session")
def kubectl(api_server: ApiServer) -> Kubectl:
    """kubectl for a server with the namespaces of the variants, our resource and the neighbours'."""
    for name in NAMESPACES:
        metadata = {"name": name, "labels": RESTRICTED}
        api_server.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    definitions = (
        *neighbours.PROMETHEUS_OPERATOR.definitions(),
        *neighbours.KUEUE.definitions(),
        REPOSITORY / "manifests/crd/training.discomusica.io_musictrainingjobs.yaml",
    )
    api_server.kubectl("apply", "--server-side", *(f"--filename={path}" for path in definitions))
    api_server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    return api_server.kubectl.within("mtj-system")


@pytest.fixture(scope="module")
def named(kubectl: Kubectl, helm: None) -> Iterator[Kubectl]:
    """The rights of a release that serves the namespace music."""
    objects = [one for one in rendered({"namespaces": ["music"]}) if one["kind"] in RIGHTS]
    for one in objects:
        _where(kubectl, one).apply(one)
    yield kubectl
    for one in objects:
        _where(kubectl, one)("delete", one["kind"], one["metadata"]["name"])


def _where(kubectl: Kubectl, one: Object) -> Kubectl:
    return kubectl.within(one["metadata"].get("namespace", "default"))
