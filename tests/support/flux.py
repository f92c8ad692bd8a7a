"""Flux's own controllers for sources and kustomizations, beside an API server of the tests."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from support import gitops
from support.kubectl import Kubectl
from support.kubernetes_api import ApiServer
from support.ports import free_ports
from support.witness import eventually

NAMESPACE = "flux-system"
_CRDS = ("gitrepositories.source", "kustomizations.kustomize")
_SECONDS = 180


@contextmanager
def running(server: ApiServer, folder: Path) -> Iterator[Kubectl]:
    """Both controllers, for the length of the context; kubectl for their namespace."""
    server.kubectl("apply", "--server-side", f"--filename={gitops.home() / 'crds'}")
    for name in _CRDS:
        server.kubectl.wait(f"crd/{name}.toolkit.fluxcd.io", "condition=Established")
    server.kubectl("create", "namespace", NAMESPACE)
    (artifacts,) = free_ports(1)
    storage = {
        "storage-path": folder,
        "storage-addr": f"127.0.0.1:{artifacts}",
        "storage-adv-addr": f"127.0.0.1:{artifacts}",
    }
    with ExitStack() as stack:
        stack.enter_context(_controller(server, folder, "source-controller", storage))
        stack.enter_context(_controller(server, folder, "kustomize-controller", {}))
        yield server.kubectl.within(NAMESPACE)


@contextmanager
def _controller(server: ApiServer, folder: Path, name: str, more: dict[str, object]) -> Iterator[None]:
    health, metrics = free_ports(2)
    flags = {
        "health-addr": f"127.0.0.1:{health}",
        "metrics-addr": f"127.0.0.1:{metrics}",
        "enable-leader-election": "false",
        **more,
    }
    command = [str(gitops.home() / "bin" / name), *(f"--{flag}={value}" for flag, value in flags.items())]
    environment = os.environ | {
        "KUBECONFIG": str(server.kubeconfig),
        "RUNTIME_NAMESPACE": NAMESPACE,
        "TMPDIR": str(folder),
    }
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


class Pipeline:
    """What ``manifests/gitops/flux/jobs.yaml`` makes of a repository, as its user asks and sees it.

    Args:
        kubectl: of Flux's namespace.
        target: the namespace of the jobs.
        url: of the repository.
        spec: more of the Kustomization's.
    """

    def __init__(self, kubectl: Kubectl, target: str, url: str, **spec: Any) -> None:
        self._kubectl = kubectl
        self._name = f"music-{uuid.uuid4().hex[:8]}"
        source, kustomization = yaml.safe_load_all((gitops.MANIFESTS / "flux/jobs.yaml").read_text())
        for one in (source, kustomization):
            one["metadata"]["name"] = self._name
        source["spec"]["url"] = url
        kustomization["spec"] |= {"targetNamespace": target, **spec}
        kustomization["spec"]["sourceRef"]["name"] = self._name
        kubectl.apply(source, kustomization)

    def end(self) -> None:
        """Delete both, and with them what came from Git."""
        self._kubectl("delete", f"kustomization/{self._name}", f"gitrepository/{self._name}", "--timeout=60s")

    def carry(self, commit: str) -> tuple[str, str]:
        """Have Flux look at the repository and bring it in again, as ``flux reconcile --with-source`` does.

        Returns:
            The status and the message of ``Ready`` once Flux is through with the commit.
        """
        asked = uuid.uuid4().hex
        for kind in ("gitrepository", "kustomization"):
            self._kubectl("annotate", "--overwrite", f"{kind}/{self._name}", f"reconcile.fluxcd.io/requestedAt={asked}")
            eventually(partial(self._is_through, kind, asked, commit), _SECONDS)
        return self.ready()

    def ready(self) -> tuple[str, str]:
        """The status and the message of the Kustomization's ``Ready``."""
        for condition in self._status("kustomization").get("conditions", ()):
            if condition["type"] == "Ready":
                return condition["status"], condition["message"]
        return "Unknown", ""

    def _is_through(self, kind: str, asked: str, commit: str) -> bool:
        status = self._status(kind)
        if kind == "gitrepository":
            return commit in status.get("artifact", {}).get("revision", "")
        attempted = status.get("lastHandledReconcileAt") == asked and commit in status.get("lastAttemptedRevision", "")
        return attempted and self.ready()[0] != "Unknown"

    def _status(self, kind: str) -> dict[str, Any]:
        status: dict[str, Any] = self._kubectl.get(kind, self._name).get("status", {})
        return status
