"""The peer: Kubeflow Trainer and JobSet as their releases deploy them, but as processes of this machine.

Their programs, CRDs, roles, webhooks and settings are those of the releases (``tools/peers/build``). What differs
follows from their being in no pod: they listen on free ports of this machine, the webhooks are called by URL instead of
by Service, and the certificate of the webhooks is made here instead of by the programs themselves.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from scale.operator.client import Object
from scale.operator.install import Server, install, rendered
from scale.operator.programs import START_SECONDS, Program, running
from support.kubectl import REPOSITORY, KubectlError
from support.ports import free_ports

PEERS = REPOSITORY / ".tools/peers"
RUNTIME = "torch-distributed"

_TRAINER = PEERS / "manifests/trainer"
_JOBSET = PEERS / "manifests/jobset"
_TRAINER_NAMESPACE, _JOBSET_NAMESPACE = "kubeflow-system", "jobset-system"


def train_job(namespace: str, name: str) -> Object:
    """A job of two nodes by the runtime for PyTorch that comes with Trainer."""
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "runtimeRef": {"name": RUNTIME},
            "trainer": {"numNodes": 2, "image": "trainer:1", "command": ["python", "-m", "train"]},
        },
    }


@asynccontextmanager
async def kubeflow(server: Server, folder: Path, address: str = "127.0.0.1") -> AsyncIterator[tuple[Program, Program]]:
    """Install both, and run them, ready, for the length of the context.

    Args:
        server: on which.
        folder: for what they need; it is made.
        address: of this machine, at which the API server reaches their webhooks.
    """
    folder.mkdir()
    trainer_health, trainer_metrics, jobset_health, jobset_metrics = free_ports(4)
    trainer_port, jobset_port = free_ports(2, address)
    authority = _certificate(folder, address)
    trainer_parts = rendered(server, _trainer_kustomization(folder))
    install(server, _TRAINER_NAMESPACE, _called_by_url(trainer_parts, f"{address}:{trainer_port}", authority))
    jobset_parts = rendered(server, _JOBSET / "default")
    install(server, _JOBSET_NAMESPACE, _called_by_url(jobset_parts, f"{address}:{jobset_port}", authority))
    settings = _yaml(_TRAINER / "base/manager/controller_manager_config.yaml")
    settings["health"]["healthProbeBindAddress"] = f"127.0.0.1:{trainer_health}"
    settings["metrics"]["bindAddress"] = f"127.0.0.1:{trainer_metrics}"
    settings["webhook"] = {"host": address, "port": trainer_port}
    settings["certManagement"]["enable"] = False
    settings["leaderElection"]["resourceNamespace"] = _TRAINER_NAMESPACE
    trainer = _command("trainer", settings, folder)
    settings = _yaml(_JOBSET / "components/manager/controller_manager_config.yaml")
    settings["health"] = {"healthProbeBindAddress": f"127.0.0.1:{jobset_health}"}
    settings["metrics"] = {"bindAddress": f"127.0.0.1:{jobset_metrics}"}
    settings["webhook"] = {"host": address, "port": jobset_port}
    settings["internalCertManagement"]["enable"] = False
    settings["leaderElection"]["resourceNamespace"] = _JOBSET_NAMESPACE
    jobset = [*_command("jobset", settings, folder), "--leader-elect"]
    async with AsyncExitStack() as stack:
        programs = []
        for name, command, namespace, account, health in (
            ("jobset", jobset, _JOBSET_NAMESPACE, "jobset-controller-manager", jobset_health),
            ("trainer", trainer, _TRAINER_NAMESPACE, "kubeflow-trainer-controller-manager", trainer_health),
        ):
            token = server.kubectl.within(namespace)("create", "token", account, "--duration=2h").strip()
            kubeconfig = server.write_kubeconfig(folder / f"{name}.kubeconfig", token)
            # controller-runtime looks for the certificate of webhooks below TMPDIR.
            environment = os.environ | {"KUBECONFIG": str(kubeconfig), "TMPDIR": str(folder)}
            program = await stack.enter_async_context(running(name, command, folder, environment))
            await program.ready_at(f"http://127.0.0.1:{health}/readyz")
            programs.append(program)
        server.kubectl.apply(_TRAINER / "base/runtimes/torch_distributed.yaml")
        await _takes_jobs(server)
        yield programs[0], programs[1]


async def _takes_jobs(server: Server) -> None:
    """Return once the webhooks know the runtime, without which they refuse every job.

    Raises:
        KubectlError: they still do not after a while.
    """
    job = json.dumps(train_job("default", "tried"))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.kubectl("create", "--dry-run=server", "--filename=-", stdin=job)
            return
        except KubectlError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


def _command(name: str, settings: dict[str, Any], folder: Path) -> list[str]:
    """The program with its release's arguments, and settings."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return [str(PEERS / "bin" / name), f"--config={path}", "--zap-log-level=2"]


def _trainer_kustomization(folder: Path) -> Path:
    """What Trainer's overlay ``manager`` has, without JobSet, which it would fetch from the network."""
    kustomization = {
        "namespace": _TRAINER_NAMESPACE,
        "resources": [
            os.path.relpath(_TRAINER / part, folder)
            for part in ("base/crds", "base/rbac", "base/webhook", "overlays/manager/namespace.yaml")
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


def _called_by_url(documents: list[Object], place: str, authority: str) -> list[Object]:
    """The documents with webhooks that are not looked for behind Services, which nothing here serves."""
    for document in documents:
        for webhook in document.get("webhooks", []):
            path = webhook["clientConfig"]["service"]["path"]
            webhook["clientConfig"] = {"url": f"https://{place}{path}", "caBundle": authority}
    return documents


def _certificate(folder: Path, address: str) -> str:
    """A certificate for an address, where the programs look for it; as text for ``caBundle``."""
    place = folder / "k8s-webhook-server/serving-certs"
    place.mkdir(parents=True)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={address}"]
    command += ["-addext", f"subjectAltName=IP:{address}", "-keyout", f"{place}/tls.key", "-out", f"{place}/tls.crt"]
    subprocess.run(command, check=True, capture_output=True)
    return base64.b64encode((place / "tls.crt").read_bytes()).decode()


def _yaml(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded
