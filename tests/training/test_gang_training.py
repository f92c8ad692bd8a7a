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
from mtj_trainer.train.checkpoint import MANIFEST
from mtj_trainer.train.supervisor import LOST
from support.machines import lose
from support.ports import free_ports
from support.prepared import chorales, prepare_scores
from support.witness import eventually

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
STEPS = 60
JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: gang}}
spec:
  dataset: {{source: {folder}/music, midi: {{tokenizer: grid}}}}
  model: {{architecture: {{layers: 1, width: 32, heads: 2, context: 128}}}}
  training: {{steps: {steps}, nodes: 2, batch: {{size: 4}}, precision: fp32, optimizer: {{learningRate: {rate}}}}}
  checkpoint: {{everySteps: {checkpoint}}}
  evaluation: {{everySteps: {validate}}}
  monitoring: {{metricsPort: 0}}
  output: {folder}/out
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("prepared")
    return prepare_scores(
        folder,
        chorales(),
        parse_job(JOB.format(folder=folder, steps=1, rate=0.01, checkpoint=1, validate=1)).job.spec.dataset.midi,
    )


class GangOfTwo:
    """A job in a folder of its own, and the machines that train it; each run is on another port."""

    def __init__(
        self,
        folder: Path,
        data: str,
        steps: int = STEPS,
        rate: float = 0.01,
        checkpoint: int = 1000,
        validate: int = 1000,
        held_up: str = "",
        hang_seconds: int = 0,
    ) -> None:
        self._folder = folder
        self._held_up = held_up
        self._hang = ["--hang-seconds", str(hang_seconds), "--stacks", f"{folder}/out/train/stacks"]
        self._left = ExitStack()
        folder.mkdir(parents=True, exist_ok=True)
        text = JOB.format(folder=folder, steps=steps, rate=rate, checkpoint=checkpoint, validate=validate)
        job = parse_job(text).job
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
        module = (
            ["support.delayed_training", str(self._folder), self._held_up] if self._held_up else ["mtj_trainer.train"]
        )
        command += [*self._hang, "-m", *module, "--job", str(self._folder / "job.json")]
        left = self._folder / f"left-{node}"
        left.unlink(missing_ok=True)
        with (self._folder / f"printed-{node}").open("wb") as printed:
            machine = subprocess.Popen(
                command,
                env=os.environ
                | {"OMP_NUM_THREADS": "1", "MTJ_WORK_DIR": str(self._folder / "work"), TERMINATION_LOG_ENV: str(left)}
                | {"PYTHONPATH": f"{TESTS}:{os.environ.get('PYTHONPATH', '')}"},
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
        self._left.callback(lose, machine)
        return machine

    def left(self, node: int) -> str:
        path = self._folder / f"left-{node}"
        return path.read_text() if path.exists() else ""

    def has_reached(self, *ranks: int) -> bool:
        """Whether these processes have come to where they are held up."""
        return all((self._folder / f"reached-{rank}").exists() for rank in ranks)

    @property
    def stacks(self) -> str:
        return "".join(path.read_text() for path in self._folder.glob("out/train/stacks/*/*.txt"))

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
        return sorted(int(parts[1][5:]) for parts in keys if parts[-1] == MANIFEST)

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


@pytest.mark.parametrize(
    ("phase", "reaches", "told", "steps"),
    [
        pytest.param("loading", (0, 1), 0, [], id="loading the model"),
        pytest.param("data", (1,), 1, [3], id="waiting for data"),
        pytest.param("validating", (0, 1), 1, [4], id="validating"),
        pytest.param("saving", (0,), 0, [2], id="storing a checkpoint"),
    ],
)
def test_a_stop_saves_what_is_done_on_both_whatever_they_are_at(
    machines: ExitStack, tmp_path: Path, data: str, phase: str, reaches: tuple[int, ...], told: int, steps: list[int]
) -> None:
    every = {"validating": {"validate": 4}, "saving": {"checkpoint": 2}}.get(phase, {})
    held_up = gang(machines, tmp_path, data, held_up=phase, **every)
    both = held_up.start()
    eventually(lambda: held_up.has_reached(*reaches), 240)
    for _ in range(2):
        both[told].send_signal(signal.SIGTERM)
    assert [machine.wait(120) for machine in both] == [ExitCode.INTERRUPTED] * 2, held_up.printed
    assert "Traceback" not in held_up.printed
    if phase == "data":  # data are made ahead, so that the steps before may not have been done yet
        assert len(held_up.complete) == 1
        assert 1 <= held_up.complete[0] <= steps[0]
        return
    assert held_up.complete[: len(steps)] == steps
    assert len(held_up.complete) == len(steps) or phase == "saving"  # it may have come further while it was stored


def test_a_hang_ends_both_with_a_word_on_where_and_a_rerun_goes_on(
    machines: ExitStack, tmp_path: Path, data: str
) -> None:
    hung = gang(machines, tmp_path, data, steps=6, checkpoint=2, held_up="data", hang_seconds=5)
    codes = [machine.wait(240) for machine in hung.start()]
    assert sorted(codes) == [ExitCode.CRASHED, ExitCode.PEER_LOST], hung.printed
    why = hung.left(codes.index(ExitCode.CRASHED))
    assert why.startswith("training hung: process 1 on ")
    assert "has waited for the data of step 4 for" in why
    assert "in data_that_never_comes" in hung.stacks
    assert hung.stacks.count("process ") == 2
    assert hung.complete == [2]
    rerun = gang(machines, tmp_path, data, steps=6, checkpoint=2)
    rerun.run()
    assert "going on from the checkpoint of step 2" in rerun.printed


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
