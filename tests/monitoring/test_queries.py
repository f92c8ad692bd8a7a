"""Every query of the dashboards and alerts, asked of a real Prometheus that scrapes a real training and operator."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from support import kubernetes_api, operator_process, prometheus
from support.kubelets import STAGE_LABEL, Fate, Kubelet, done
from support.kubernetes_http import Http
from support.monitoring import queries
from support.operated_jobs import document, wait_for
from support.ports import free_ports
from support.prometheus import Prometheus
from support.sounds import encoded, phrases
from support.witness import eventually

pytestmark = pytest.mark.slow

QUERIES = dict(queries())

TRAINING = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: chorales}}
spec:
  dataset:
    source: ./music
    split: {{train: 0.6, validation: 0.2, test: 0.2}}
    audio: {{segment: {{minSeconds: 2, maxSeconds: 4, boundaries: none}}}}
  model: {{family: codec, codecArchitecture: {{encoderWidth: 4, decoderWidth: 32, codebooks: 2, codebookSize: 16}}}}
  training: {{steps: 100000, batch: {{size: 2}}, precision: fp32, cropSeconds: 0.4}}
  checkpoint: {{everySteps: 10}}
  evaluation: {{everySteps: 100000}}
  monitoring: {{metricsPort: {port}}}
  output: ./out
"""
"""A codec, since its loss has several parts; it trains until it is stopped."""

AHEAD = (0.0, 61.0, 290.0)
"""Seconds from now at which a query is asked: one that looks back by minutes is answered by what is seen now."""

CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "job-controller",
    "namespace-controller",
    "serviceaccount-controller",
)


@contextmanager
def training(folder: Path, library: Path, port: int) -> Iterator[None]:
    """``mtj run`` on a machine that seems to have GPUs, until the end of the context."""
    (folder / "music").mkdir()
    for number in range(6):
        (folder / f"music/{number}.flac").write_bytes(encoded(phrases([3.0, 4.0], 0.2)[:, None][:, :, 0], "flac"))
    (folder / "job.yaml").write_text(TRAINING.format(port=port))
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    environment |= {"LD_LIBRARY_PATH": str(library), "MTJ_WORK_DIR": str(folder / "work")}
    command = [sys.executable, "-m", "mtj_operator.cli", "run", "job.yaml"]
    with (folder / "training.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield
        assert process.poll() is None, (folder / "training.log").read_text()
    finally:
        first = psutil.Process(process.pid)
        for one in (*first.children(recursive=True), first):
            one.kill()
        process.wait()


@contextmanager
def operated(folder: Path, port: int) -> Iterator[tuple[str, str]]:
    """An operator with a job that trains, one that waits and one that failed; its address, and the jobs' namespace."""

    def fate(pod: Mapping[str, Any]) -> Fate:
        labels = pod["metadata"]["labels"]
        if labels["training.discomusica.io/job"] == "wrong":
            return Fate(code=65, message="there is no music here")
        if labels["training.discomusica.io/job"] == "waits":
            return Fate(waiting=("ImagePullBackOff", "there is no such image"))
        return Fate(code=None) if labels[STAGE_LABEL] == "train" else done(pod)

    with kubernetes_api.running(folder / "cluster", controllers=CONTROLLERS) as server:
        operator_process.install(server)
        namespace = f"test-{uuid.uuid4().hex[:8]}"
        server.kubectl("create", "namespace", namespace)
        kubectl, kubeconfig = server.kubectl.within(namespace), operator_process.service_account(server, folder)
        with (
            operator_process.running(kubeconfig, folder, "--progress-seconds=0.5") as operator,
            Kubelet(Http(server), namespace, fate).working(),
        ):
            kubectl.apply(document(monitoring={"metricsPort": port}), document("wrong"), document("waits"))
            wait_for(kubectl, lambda found: found.get("stage") == "train" and found["state"] == "Running")
            wait_for(kubectl, lambda found: found.get("state") == "Failed", "wrong")
            wait_for(kubectl, lambda found: found.get("state") == "Pending", "waits")
            yield operator.url.removeprefix("http://"), namespace


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory, nvml_library: Path) -> Iterator[tuple[Prometheus, str]]:
    """A Prometheus that scrapes both as the guide says, and the namespace of the jobs."""
    folder = tmp_path_factory.mktemp("scraped")
    (folder / "cluster").mkdir()
    (port,) = free_ports(1)
    with training(folder, nvml_library, port), operated(folder, port) as (operator, namespace):
        jobs = {
            "job_name": "jobs",
            "static_configs": [
                {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": namespace, "job": "chorales"}},
            ],
            "metric_relabel_configs": [{"regex": "exported_job", "action": "labeldrop"}],
        }
        operators = {"job_name": "operator", "honor_labels": True, "static_configs": [{"targets": [operator]}]}
        with prometheus.running(folder, jobs, operators) as server:
            eventually(lambda: bool(server.query("mtj_train_checkpoint_step > 0")), 240)
            yield server, namespace


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_returns_data(query: str, scraped: tuple[Prometheus, str]) -> None:
    server, namespace = scraped
    chosen = {"namespace": namespace, "job": "chorales", "price": "2", "__rate_interval": "1m", "__range": "5m"}
    for name, value in chosen.items():
        query = query.replace(f"${name}", value)

    def has_data() -> bool:
        found = [series for ahead in AHEAD for series in server.query(query, ahead)]
        return any(not math.isnan(float(series["value"][1])) for series in found)

    eventually(has_data, 90)
