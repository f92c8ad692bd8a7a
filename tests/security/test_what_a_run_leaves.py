"""A real job, with secrets in its environment: who can reach it while it runs, and what it leaves when it is done."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest

from support.ports import free_ports
from support.prepared import chorales
from support.scores import midi_bytes

pytestmark = pytest.mark.slow

CANARY = "canary-0b5e9c"
IN_THE_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": f"id-{CANARY}",
    "AWS_SECRET_ACCESS_KEY": f"key-{CANARY}",
    "AWS_SESSION_TOKEN": f"session-{CANARY}",
    "AWS_ENDPOINT_URL": f"http://user:{CANARY}@127.0.0.1:9",
    "HF_TOKEN": f"hf-{CANARY}",
}
JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: secretive}}
spec:
  dataset: {{source: music, midi: {{tokenizer: grid}}, split: {{keepTogether: []}}}}
  model: {{architecture: {{layers: 1, width: 32, heads: 2, context: 64}}}}
  training: {{steps: 12, batch: {{size: 2}}, processesPerNode: 2}}
  evaluation: {{continuations: 1, requests: [{{bars: 1}}], render: none}}
  monitoring: {{metricsPort: {port}}}
  scheduling: {{podTemplate: {{env: [{{name: TOKEN, value: plain-{canary}}}]}}}}
  output: out
"""


@dataclass(frozen=True)
class Left:
    """What a run was and left.

    Attributes:
        port: where its first training process serves figures.
        folder: that it ran in: the job file, ``out`` and ``work``.
        printed: by it.
        listeners: each address and port that any process of it listened on, with the command of that process.
    """

    port: int
    folder: Path
    printed: str
    listeners: dict[tuple[str, int], str]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("left")
    (folder / "music").mkdir()
    for name, score in chorales(8).items():
        (folder / "music" / name).write_bytes(midi_bytes(score))
    (port,) = free_ports(1)
    (folder / "job.yaml").write_text(JOB.format(port=port, canary=CANARY))
    log = folder / "printed.log"
    with log.open("wb") as printed:
        process = subprocess.Popen(
            [str(Path(sysconfig.get_path("scripts")) / "mtj"), "run", "job.yaml"],
            cwd=folder,
            env=os.environ | IN_THE_ENVIRONMENT | {"MTJ_WORK_DIR": str(folder / "work")},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        listeners: dict[tuple[str, int], str] = {}
        while process.poll() is None:
            with suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.Error):
                        listeners |= _listening(child)
            time.sleep(0.2)
    assert process.returncode == 0, log.read_text()
    return Left(port, folder, log.read_text(), listeners)


def _listening(process: psutil.Process) -> dict[tuple[str, int], str]:
    return {
        (one.laddr.ip, one.laddr.port): " ".join(process.cmdline())[:200]
        for one in process.net_connections(kind="tcp")
        if one.status == psutil.CONN_LISTEN
    }


def is_loopback(address: str) -> bool:
    found = ip_address(address)
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def test_no_secret_is_in_anything_that_a_run_leaves(left: Left) -> None:
    assert CANARY not in left.printed
    written = [path for path in left.folder.rglob("*") if path.is_file() and path.name != "job.yaml"]
    assert {path.name for path in written} >= {"report.html", "README.md", "figures.json", "job.json", "prepare.json"}
    assert [path for path in written if CANARY.encode() in path.read_bytes()] == []


def test_the_recipe_that_it_shows_is_the_job_without_its_pods(left: Left) -> None:
    for name in ("out/model/README.md", "out/report.html", "out/job.json"):
        shown = (left.folder / name).read_text()
        assert "secretive" in shown
        assert "podTemplate" not in shown
    assert json.loads((left.folder / "out/job.json").read_text())["spec"]["training"]["steps"] == 12


def test_on_one_machine_figures_are_served_on_the_loopback(left: Left) -> None:
    served = {address for address, port in left.listeners if port in (left.port, left.port + 1)}
    assert served
    assert all(is_loopback(address) for address in served)


def test_on_one_machine_nothing_but_torchruns_store_listens_beyond_the_loopback(left: Left) -> None:
    reachable = [who for (address, _), who in left.listeners.items() if not is_loopback(address)]
    assert len(reachable) <= 1
    assert all(" -m mtj_trainer.train.launch " in who for who in reachable)


def test_no_dashboard_listens(left: Left) -> None:
    assert not {port for _, port in left.listeners} & {8265, 6006}
    assert not [who for who in left.listeners.values() if "dashboard/dashboard.py" in who]
