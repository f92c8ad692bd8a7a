"""A real cluster for the tests: the project's own, which is up while a test needs it, or one whose kubeconfig is given.

A given cluster's nodes must see this checkout under its path, which pods read their Python packages from, and have the
images that ``make cluster`` builds.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.kubectl import REPOSITORY, Kubectl
from testcluster import folders, supervisor
from testcluster.layout import KUBECONFIG

OPERATOR_IMAGE = "localhost/mtj-operator:dev"
TRAINER_IMAGE = "localhost/mtj-test-trainer:dev"
"""What the nodes call the images of this checkout."""

_UP_SECONDS = 1500
"""The first time, what it runs is built."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up.

    Attributes:
        kubectl: as its administrator.
    """

    kubectl: Kubectl

    @property
    def host_address(self) -> str:
        """This machine's own address on the way to the cluster, at which pods reach a server of the tests."""
        server = self.kubectl("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
        url = urlsplit(server)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect((url.hostname, url.port or 443))  # sends nothing
            return str(asking.getsockname()[0])

    def write_kubeconfig(self, path: Path, token: str) -> Path:
        """The path, with a kubeconfig for the owner of a token, such as ``kubectl create token`` gives, in it."""
        config = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
        for user in config["users"]:
            user["user"] = {"token": token}
        path.write_text(json.dumps(config))
        return path


@contextmanager
def running(kubeconfig: Path | None) -> Iterator[Cluster]:
    """The given cluster, or the project's own, which ends when nobody uses it, unless ``make cluster`` started it.

    Raises:
        RuntimeError: it did not come up; the text ends with what was printed.
    """
    if kubeconfig is not None:
        yield Cluster(Kubectl(kubeconfig))
        return
    if os.geteuid() != 0:
        pytest.skip("a cluster of the tests' own needs root")
    if shutil.which("go") is None:
        pytest.skip("a cluster of the tests' own is built with Go")
    supervisor.USERS.parent.mkdir(parents=True, exist_ok=True)
    with supervisor.USERS.open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        start = [sys.executable, "-m", "testcluster", "up", "--while-used"]
        environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}/tools/cluster:{REPOSITORY}/tools/images"}
        done = subprocess.run(start, env=environment, capture_output=True, text=True, timeout=_UP_SECONDS, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the cluster did not come up:\n{done.stdout}{done.stderr}")
        yield Cluster(Kubectl(KUBECONFIG))


@contextmanager
def without_power(node: str) -> Iterator[None]:
    """A node of the project's own cluster is off, from one moment to the next; afterwards it starts again by itself."""
    if supervisor.running() is None:
        pytest.skip("a node of another cluster cannot be switched off")
    switch = supervisor.switch(node)
    switch.touch()
    try:
        yield
    finally:
        switch.unlink()


@contextmanager
def fresh_namespace(kubectl: Kubectl) -> Iterator[Kubectl]:
    """kubectl for a new namespace, in which pods have to keep to the rules of Pod Security ``restricted``."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    try:
        yield kubectl.within(name)
    finally:
        kubectl.within(name)("delete", "pods", "--all", "--grace-period=1", "--wait=false")
        kubectl("delete", "namespace", name, "--wait=false")


@contextmanager
def python_packages(kubectl: Kubectl) -> Iterator[dict[str, Any]]:
    """The packages of this checkout for pods of the namespace: what a pod's template says to have them.

    Yields:
        ``volumes`` of the pod, and ``volumeMounts`` and ``env`` of its container.
    """
    paths = {name: f"/opt/python/{name}" for name in folders.PACKAGES}
    with ExitStack() as stack:
        for name, folder in folders.PACKAGES.items():
            stack.enter_context(shared_folder(kubectl, name, folder, folders.READ_ONLY))
        yield {
            "volumes": [
                {"name": name, "persistentVolumeClaim": {"claimName": name, "readOnly": True}} for name in paths
            ],
            "volumeMounts": [{"name": name, "mountPath": path, "readOnly": True} for name, path in paths.items()],
            "env": [{"name": "PYTHONPATH", "value": ":".join(paths.values())}],
        }


@contextmanager
def shared_folder(kubectl: Kubectl, claim: str, folder: Path, mode: str = folders.WRITABLE) -> Iterator[None]:
    """A folder of this machine, which the nodes see too, as a claim of the namespace."""
    kubectl.apply(*folders.volume_and_claim(kubectl.namespace, claim, folder, mode))
    try:
        yield
    finally:
        kubectl("delete", "persistentvolume", folders.volume(kubectl.namespace, claim), "--wait=false")
