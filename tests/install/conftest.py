"""An API server that knows all that the chart and the manifests may make."""

from __future__ import annotations

import pytest

from support import neighbours
from support.kubectl import REPOSITORY, Kubectl
from support.kubernetes_api import ApiServer

NAMESPACES = ("mtj-system", "music", "drums")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


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
