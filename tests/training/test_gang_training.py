"""Real training on two machines, each played by a launcher with a process of its own: together or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mtj_api import resolved_json
from mtj_api.contract import TERMINATION_LOG_ENV, ExitCode
from mtj_api.load import parse_job
from mtj_trainer.storage import open_storage
from mtj_trainer.train.checkpoint import STATE
from mtj_trainer.train.supervisor import LOST
from support.machines import lose
from support.ports import free_ports
from support.prepared import chorales, prepare_scores
from support.witness import eventually

pytestmark = pytest.mark.slow

STEPS = 60
JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: gang}}
spec:
  dataset: {{source: {folder}/music, midi: {{tokenizer: grid}}}}
  model: {{architecture: {{layers: 1, width: 32, heads: 2, context: 128}}}}
  training: {{steps: {steps}, nodes: 2, batch: {{size: 4}}, precision: fp32, optimizer: {{learningRate: {rate}}}}}
  checkpoint: {{everySteps: 1000}}
  evaluation: {{everySteps: 1000}}
  monitoring: {{metricsPort: 0}}
  output: {folder}/out
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("prepared")
    return prepare_scores(
        folder, chorales(), parse_job(JOB.format(folder=folder, steps=1, rate=0.01)).job.spec.dataset.midi
    )


class GangOfTwo:
    """A job in a folder of its own, and the machines that train it; each run is on another port."""

    def __init__(self, folder: Path, data: str, steps: int = STEPS, rate: float = 0.01) -> None:
        self._folder = folder
        self._left = ExitStack()
        folder.mkdir(parents=True, exist_ok=True)
        job = parse_job(JOB.format(folder=folder, steps=steps, rate=rate)).job
        (folder / "job.json").write_text(resolved_json(job))
        self.output = open_storage(job.spec.output)
        self.output.write("stages/prepare.json", json.dumps({"dataset": data}).encode())
        self._checkpoints = open_storage(str(job.spec.checkpoint.url))

    def start(self) -> list[subprocess.Popen[bytes]]:
        endpoint = f"127.0.0.1:{free_ports(1)[0]}"
        return [self._start(node, endpoint) for node in (0, 1)]

    def run(self) -> None:
        codes = [machine.wait(240) for machine in self.start()]
        assert codes == [0, 0], self.printed

    def _start(self, node: int, endpoint: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "mtj_trainer.train.launch", "--nnodes", "2", "--nproc-per-node", "1"]
        command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint, "--rdzv-id", "gang"]
        command += ["-m", "mtj_trainer.train", "--job", str(self._folder / "job.json")]
        left = self._folder / f"left-{node}"
        left.unlink(missing_ok=True)
        with (self._folder / f"printed-{node}").open("wb") as printed:
            machine = subprocess.Popen(
                command,
                env=os.environ
                | {"OMP_NUM_THREADS": "1", "MTJ_WORK_DIR": str(self._folder / "work"), TERMINATION_LOG_ENV: str(left)},
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
        self._left.callback(lose, machine)
        return machine

    def left(self, node: int) -> str:
        path = self._folder / f"left-{node}"
        return path.read_text() if path.exists() else ""

    @property
    def printed(self) -> str:
        return "".join((self._folder / f"printed-{node}").read_text() for node in (0, 1))

    @property
    def losses(self) -> list[tuple[int, float]]:
        rows = [json.loads(line) for line in self.output.read("train/metrics.jsonl").splitlines()]
        return [(row["step"], row.get("loss", row.get("validation_loss"))) for row in rows]

    @property
    def complete(self) -> list[int]:
        """Steps of the complete checkpoints."""
        keys = (entry.key.split("/") for entry in self._checkpoints.list())
        return sorted(int(parts[1][5:]) for parts in keys if parts[-1] == STATE)

    def close(self) -> None:
        self._left.close()


@pytest.fixture
def machines() -> Iterator[ExitStack]:
    """Whatever is started in a test ends with it."""
    with ExitStack() as stack:
        yield stack


def gang(machines: ExitStack, folder: Path, data: str, **settings: Any) -> GangOfTwo:
    found = GangOfTwo(folder, data, **settings)
    machines.callback(found.close)
    return found


@pytest.mark.parametrize(("told", "after"), [(0, "from the beginning"), (1, "train     10/")])
def test_a_stop_of_one_machine_is_a_checkpoint_of_both_and_a_rerun_computes_the_same(
    machines: ExitStack, tmp_path: Path, data: str, told: int, after: str
) -> None:
    stopped = gang(machines, tmp_path / "stopped", data)
    both = stopped.start()
    eventually(lambda: after in stopped.printed, 240)
    both[told].send_signal(signal.SIGTERM)
    assert [machine.wait(120) for machine in both] == [ExitCode.INTERRUPTED] * 2, stopped.printed
    said = [json.loads(stopped.left(node)) for node in (0, 1) if stopped.left(node)]
    assert [words["figures"]["train.steps"] for words in said] == (stopped.complete or [0])
    assert stopped.complete or after == "from the beginning"
    assert "Traceback" not in stopped.printed
    stopped.run()
    undisturbed = gang(machines, tmp_path / "undisturbed", data)
    undisturbed.run()
    assert stopped.losses == undisturbed.losses


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_machine_lets_the_other_go_and_not_to_blame(
    machines: ExitStack, tmp_path: Path, data: str, lost: int
) -> None:
    broken = gang(machines, tmp_path, data, steps=100_000)
    both = broken.start()
    eventually(lambda: "from the beginning" in broken.printed, 240)
    lose(both[lost])
    assert both[1 - lost].wait(120) == ExitCode.PEER_LOST, broken.printed
    assert broken.left(1 - lost) == LOST


def test_a_wrong_job_is_said_by_whoever_finds_it_first(machines: ExitStack, tmp_path: Path, data: str) -> None:
    wrong = gang(machines, tmp_path, data)
    path = tmp_path / "job.json"
    job = json.loads(path.read_text())
    job["spec"]["training"]["precision"] = "fp16"  # what the tests run on has no GPU
    path.write_text(json.dumps(job))
    codes = [machine.wait(240) for machine in wrong.start()]
    assert ExitCode.WRONG_JOB in codes, wrong.printed
    assert set(codes) <= {ExitCode.WRONG_JOB, ExitCode.PEER_LOST}
    found = codes.index(ExitCode.WRONG_JOB)
    assert wrong.left(found) == "spec.training.precision: fp16 needs a GPU; write auto, bf16 or fp32"
