"""Our operator as it is deployed, but as a process of this machine: CRD, roles and flags are those of manifests/."""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from mtj_operator.control.settings import add_arguments, from_arguments
from mtj_operator.plan.settings import ClusterSettings
from scale.operator.client import Object
from scale.operator.install import install, rendered
from scale.operator.programs import Program, running
from support.kubectl import REPOSITORY
from support.kubernetes_api import ApiServer
from support.ports import free_ports

_OPERATOR = REPOSITORY / "manifests/operator"
_SAMPLE = REPOSITORY / "manifests/samples/cluster.yaml"


def music_training_job(namespace: str, name: str) -> Object:
    """The sample for a cluster, which prepares and trains on two nodes, under another name."""
    document = copy.deepcopy(_sample())
    document["metadata"] = {"name": name, "namespace": namespace}
    document["spec"]["output"] = f"s3://music/models/{name}"
    return document


@cache
def _sample() -> Object:
    document: Object = yaml.safe_load(_SAMPLE.read_text())
    return document


class Operator:
    """The deployed operator, of which processes can be started one after the other."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        """Install what its manifests have, except what runs in pods."""
        folder.mkdir()
        documents = rendered(server, _OPERATOR)
        deployment = next(document for document in documents if document["kind"] == "Deployment")
        pod = deployment["spec"]["template"]["spec"]
        self._namespace = deployment["metadata"]["namespace"]
        self._container: dict[str, Any] = pod["containers"][0]
        self._folder = folder
        self._port = free_ports(1)[0]
        install(server, self._namespace, documents)
        account = server.kubectl.within(self._namespace)("create", "token", pod["serviceAccountName"], "--duration=2h")
        self._kubeconfig = server.write_kubeconfig(folder / "kubeconfig", account.strip())

    @property
    def cluster_settings(self) -> ClusterSettings:
        """What its flags tell of the cluster."""
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        settings = from_arguments(parser.parse_args(self._container["args"]))
        return ClusterSettings(settings.trainer_image, settings.storage_secret)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Program]:
        """Run a process of it for the length of the context; it is not waited for until it is ready."""
        flags = [*self._container.get("args", []), f"--port={self._port}", f"--lease-namespace={self._namespace}"]
        command = [sys.executable, "-m", "mtj_operator.control", *flags]
        variables = {one["name"]: one["value"] for one in self._container.get("env", []) if "value" in one}
        environment = os.environ | variables | {"KUBECONFIG": str(self._kubeconfig)}
        async with running("operator", command, self._folder, environment) as program:
            yield program

    async def ready(self, program: Program) -> None:
        """Return once it says so."""
        await program.ready_at(f"http://127.0.0.1:{self._port}/readyz")

    async def metrics(self) -> dict[str, float]:
        """What it tells Prometheus, summed up over labels."""
        found: dict[str, float] = {}
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self._port}/metrics") as answer:
            for family in text_string_to_metric_families(await answer.text()):
                for sample in family.samples:
                    found[sample.name] = found.get(sample.name, 0.0) + sample.value
        return found
