"""Installs what manifests describe on an API server without nodes; what runs in pods there are processes here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from scale.operator.client import Object
from support.kubernetes_api import ApiServer

_IN_PODS = ("Deployment", "Service")


def rendered(server: ApiServer, kustomization: Path) -> list[Object]:
    """The documents that a folder with a kustomization comes to."""
    text = server.kubectl("kustomize", "--load-restrictor=LoadRestrictionsNone", str(kustomization))
    return list(yaml.safe_load_all(text))


def install(server: ApiServer, namespace: str, documents: Iterable[Object]) -> None:
    """Make all of it that does not run in pods; server-side, as CRDs may be too large for the other way."""
    wanted = [document for document in documents if document["kind"] not in _IN_PODS]
    text = yaml.safe_dump_all(sorted(wanted, key=lambda document: document["kind"] != "Namespace"))
    server.kubectl.within(namespace)("apply", "--server-side", "--filename=-", stdin=text)
    if any(document["kind"] == "CustomResourceDefinition" for document in wanted):
        server.kubectl("wait", "--for=condition=Established", "crd", "--all")
