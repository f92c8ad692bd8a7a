"""Whole jobs by the command, as a user runs them: killed at random steps, on two processes, and on S3."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sysconfig
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from mtj_trainer.storage import Storage, open_storage
from support import curves
from support.ports import free_ports
from support.prepared import chorales
from support.scores import midi_bytes

pytestmark = pytest.mark.slow

MTJ = Path(sysconfig.get_path("scripts")) / "mtj"
STEPS = 60
JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: whole}}
spec:
  dataset: {{source: {source}, midi: {{tokenizer: grid}}, split: {{keepTogether: []}}}}
  model: {{architecture: {{layers: 2, width: 64, heads: 2, context: 256}}}}
  training: {{steps: {steps}, batch: {{size: 4}}, processesPerNode: {processes}}}
  checkpoint: {{everySteps: 7}}
  evaluation: {{everySteps: 20, continuations: 1, requests: [{{bars: 2}}]}}
  monitoring: {{metricsPort: {port}}}
  output: {output}
"""


class WholeJob:
    """A job in a folder of its own; ``run`` is what a user types."""

    def __init__(self, folder: Path, source: str, output: str, processes: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_ports(1)[0]
        self.output = output
        self._environment = os.environ | {"MTJ_WORK_DIR": str(folder / "work")}
        self._file = folder / "job.yaml"
        self._file.write_text(
            JOB.format(source=source, output=output, steps=STEPS, processes=processes, port=self.port)
        )

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(MTJ), "run", str(self._file)],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> str:
        process = self.start()
        printed, _ = process.communicate(timeout=500)
        assert process.returncode == 0, printed
        return printed

    def run_and_kill(self, at_step: int) -> str:
        """Run, kill the training process with SIGKILL once it has done ``at_step`` steps, and say what was printed."""
        process = self.start()
        try:
            killed = False
            while process.poll() is None and not killed:
                step = self._step()
                if step is not None and step >= at_step:
                    for child in psutil.Process(process.pid).children(recursive=True):
                        if "mtj_trainer.train" in child.cmdline() and "mtj_trainer.train.launch" not in child.cmdline():
                            os.kill(child.pid, signal.SIGKILL)
                            killed = True
                time.sleep(0.01)
            printed, _ = process.communicate(timeout=120)
        finally:
            process.kill()
        assert killed, printed
        assert process.returncode != 0, printed
        return printed

    def _step(self) -> int | None:
        """Where the first training process stands, as it says itself."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/progress", timeout=2) as answer:
                step = json.loads(answer.read()).get("step")
        except OSError:
            return None
        return None if step is None else int(step)

    @property
    def losses(self) -> list[tuple[int, float]]:
        """Every logged training and validation loss, by step."""
        return curves.losses(open_storage(self.output))

    @property
    def figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = json.loads(open_storage(self.output).read("figures.json"))
        return figures


def fill(source: Storage) -> None:
    for name, score in chorales().items():
        source.write(name, midi_bytes(score))


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("music")
    fill(open_storage(str(folder)))
    return str(folder)


@pytest.fixture(scope="module")
def undisturbed(music: str, tmp_path_factory: pytest.TempPathFactory) -> WholeJob:
    folder = tmp_path_factory.mktemp("undisturbed")
    job = WholeJob(folder, music, str(folder / "out"))
    printed = job.run()
    lines = printed.strip().splitlines()
    assert lines[-2:] == [f"report: {job.output}/report.html", f"figures: {job.output}/figures.json"]
    return job


def test_the_model_learned_more_than_the_untrained_one_knows(undisturbed: WholeJob) -> None:
    figures = undisturbed.figures
    assert figures["heldout.nll"] < figures["baseline.untrained.nll"]
    assert figures["samples.audible"] == 1.0
    assert figures["train.data_wait_fraction"] < 0.5


def test_a_job_whose_training_is_killed_twice_ends_with_the_same_losses_bit_for_bit(
    undisturbed: WholeJob, music: str, tmp_path: Path
) -> None:
    job = WholeJob(tmp_path, music, str(tmp_path / "out"))
    steps = sorted(random.Random(os.getpid()).sample(range(1, STEPS - 10), 2))
    for step in steps:
        printed = job.run_and_kill(step)
        assert "SIGKILL" in printed, printed
        assert "the same command goes on" in printed, printed
    job.run()
    assert job.losses == undisturbed.losses, f"killed at steps {steps}"
    same = ("heldout.nll", "validation.loss", "validation.best_step", "train.steps", "train.tokens")
    assert {name: job.figures[name] for name in same} == {name: undisturbed.figures[name] for name in same}


def test_two_processes_take_the_same_steps_on_the_same_data(undisturbed: WholeJob, music: str, tmp_path: Path) -> None:
    job = WholeJob(tmp_path, music, str(tmp_path / "out"), processes=2)
    job.run()
    assert job.figures["train.tokens"] == undisturbed.figures["train.tokens"]
    assert job.figures["heldout.nll"] == pytest.approx(undisturbed.figures["heldout.nll"], rel=0.1)


def test_source_checkpoints_and_output_may_all_lie_on_s3(undisturbed: WholeJob, s3_url: str, tmp_path: Path) -> None:
    fill(open_storage(f"{s3_url}/music"))
    job = WholeJob(tmp_path, f"{s3_url}/music", f"{s3_url}/models/whole")
    job.run()
    assert job.losses == undisturbed.losses
    model = {entry.key for entry in open_storage(f"{s3_url}/models/whole/model").list()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= model
