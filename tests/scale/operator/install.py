"""Installs what manifests describe on an API server; what would run in pods there are processes of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import yaml

from scale.operator.client import Object
from support.kubectl import Kubectl

_IN_PODS = ("Deployment", "Service")


class Server(Protocol):
    """An API server, with nodes or without."""

    @property
    def kubectl(self) -> Kubectl:
        """As its administrator."""
        ...

    def write_kubeconfig(self, path: Path, token: str) -> Path:
        """The path, with a kubeconfig for the owner of a token in it."""
        ...


def rendered(server: Server, kustomization: Path) -> list[Object]:
    """The documents that a folder with a kustomization comes to."""
    text = server.kubectl("kustomize", "--load-restrictor=LoadRestrictionsNone", str(kustomization))
    return list(yaml.safe_load_all(text))


def install(server: Server, namespace: str, documents: Iterable[Object]) -> None:
    """Make all of it that does not run in pods; server-side, as CRDs may be too large for the other way."""
    wanted = [document for document in documents if document["kind"] not in _IN_PODS]
    text = yaml.safe_dump_all(sorted(wanted, key=lambda document: document["kind"] != "Namespace"))
    server.kubectl.within(namespace)("apply", "--server-side", "--filename=-", stdin=text)
    if any(document["kind"] == "CustomResourceDefinition" for document in wanted):
        server.kubectl("wait", "--for=condition=Established", "crd", "--all")
