"""A real Prometheus, and what finds it the pods of a cluster that ask to be scraped, in the usual annotations.

Debian's Prometheus knows no Kubernetes: a thread of the tests lists pods and Services for it, with a service account of
its own, and writes down the targets that Prometheus' own discovery would find. Every target is asked once a second.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import prometheus
from support.kubectl import Kubectl

_ACCOUNT = "tests-prometheus"
_AS_LABEL = str.maketrans("./-", "___")


@contextmanager
def running(folder: Path, kubectl: Kubectl) -> Iterator[prometheus.Prometheus]:
    """Scrape a cluster for the length of the context.

    Raises:
        RuntimeError: Prometheus did not start; the message ends with its log.
    """
    kubectl.apply(*_rights(kubectl.namespace))
    targets, ended = folder / "targets.json", threading.Event()
    found = {"files": [str(targets)], "refresh_interval": "1s"}
    discovery = threading.Thread(target=_discover, args=(_Reader(kubectl), targets, ended))
    try:
        with prometheus.running(folder, {"job_name": "cluster", "file_sd_configs": [found]}) as server:
            discovery.start()
            yield server
    finally:
        ended.set()
        if discovery.ident is not None:
            discovery.join()
        kubectl("delete", "clusterrolebinding,clusterrole,serviceaccount", _ACCOUNT, "--wait=false")


class _Reader:
    """Lists objects of the whole cluster, as the service account."""

    def __init__(self, kubectl: Kubectl) -> None:
        view = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
        cluster = view["clusters"][0]["cluster"]
        self._server = cluster["server"]
        self._token = kubectl("create", "token", _ACCOUNT, "--duration=24h")
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._trusted = ssl.create_default_context(cadata=authority)

    def list(self, kind: str) -> list[dict[str, Any]]:
        request = urllib.request.Request(f"{self._server}/api/v1/{kind}")
        request.add_header("Authorization", f"Bearer {self._token}")
        with urllib.request.urlopen(request, timeout=10, context=self._trusted) as answer:
            items: list[dict[str, Any]] = json.load(answer)["items"]
        return items


def _discover(reader: _Reader, file: Path, ended: threading.Event) -> None:
    """Keep the file of targets up to date."""
    while not ended.wait(0.5):
        try:
            targets = list(_targets(reader.list("pods"), reader.list("services")))
        except OSError:
            continue  # the API server is busy, or on its way down
        file.with_suffix(".new").write_text(json.dumps(targets))
        file.with_suffix(".new").replace(file)


def _targets(pods: list[dict[str, Any]], services: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the usual rules make of annotations.

    A pod that says so is asked at the port that it names, or at all of its containers' ports; a Service that says so
    stands for its pods.
    """
    running = [pod for pod in pods if pod["status"].get("phase") == "Running" and pod["status"].get("podIP")]
    for pod in running:
        yield from _asked(pod, pod["metadata"].get("annotations", {}))
    for service in services:
        selector = (service["spec"].get("selector") or {}).items()
        for pod in running:
            is_its_own = pod["metadata"]["namespace"] == service["metadata"]["namespace"]
            if selector and is_its_own and selector <= pod["metadata"].get("labels", {}).items():
                yield from _asked(pod, service["metadata"].get("annotations", {}))


def _asked(pod: dict[str, Any], annotations: dict[str, str]) -> Iterator[dict[str, Any]]:
    if annotations.get("prometheus.io/scrape") != "true":
        return
    of_containers = [port for one in pod["spec"]["containers"] for port in one.get("ports", [])]
    named = annotations.get("prometheus.io/port")
    ports = [named] if named else [str(port["containerPort"]) for port in of_containers]
    labels = {name.translate(_AS_LABEL): value for name, value in pod["metadata"].get("labels", {}).items()}
    yield {
        "targets": [f"{pod['status']['podIP']}:{port}" for port in ports],
        "labels": labels
        | {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"]}
        | {"__metrics_path__": annotations.get("prometheus.io/path", "/metrics")},
    }


def _rights(namespace: str) -> list[dict[str, Any]]:
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _ACCOUNT, "namespace": namespace}},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": _ACCOUNT},
            "rules": [{"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["list"]}],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": _ACCOUNT},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": _ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": namespace}],
        },
    ]
