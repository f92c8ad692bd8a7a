"""Real training on two machines, each played by a launcher with a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mtj_api import resolved_json
from mtj_api.contract import WORK_DIR_ENV
from mtj_api.load import parse_job
from mtj_trainer.storage import open_storage
from mtj_trainer.train.checkpoint import MANIFEST
from support import curves
from support.machines import gang_arguments, launch, lose
from support.prepared import chorales, prepare_scores

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


def prepared(folder: Path) -> str:
    """The URL of a small data set for gangs."""
    text = JOB.format(folder=folder, steps=1, rate=0.01, checkpoint=1, validate=1)
    return prepare_scores(folder, chorales(), parse_job(text).job.spec.dataset.midi)


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
        return [self._start(node, gang) for node, gang in enumerate(gang_arguments(nodes=2))]

    def run(self) -> None:
        codes = [machine.wait(900) for machine in self.start()]
        assert codes == [0, 0], self.printed

    def _start(self, node: int, gang: Sequence[str]) -> subprocess.Popen[bytes]:
        program = (
            ["support.delayed_training", str(self._folder), self._held_up] if self._held_up else ["mtj_trainer.train"]
        )
        program += ["--job", str(self._folder / "job.json")]
        environment = {"OMP_NUM_THREADS": "1", WORK_DIR_ENV: str(self._folder / "work")}
        machine = launch(self._folder, str(node), [*gang, *self._hang], program, **environment)
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
        return curves.losses(self.output)

    @property
    def complete(self) -> list[int]:
        """Steps of the complete checkpoints."""
        keys = (entry.key.split("/") for entry in self._checkpoints.list())
        return sorted(int(parts[1][5:]) for parts in keys if parts[-1] == MANIFEST)

    @property
    def files(self) -> set[str]:
        """All that is in the output, among the checkpoints and on the machine's own disk, by name; but for the stacks
        of hangs and TensorBoard's files, of which each attempt has one."""
        paths = (path for name in ("out", "work") for path in (self._folder / name).rglob("*") if path.is_file())
        return {str(path.relative_to(self._folder)) for path in paths if not {"stacks", "tensorboard"} & {*path.parts}}

    @property
    def best(self) -> bytes:
        """The weights that are stored as the best."""
        (path,) = self._folder.glob("out/train/best/*.safetensors")
        return path.read_bytes()

    def files_of(self, step: int) -> list[Path]:
        """The files of a checkpoint."""
        return sorted(self._folder.glob(f"out/checkpoints/*/step-{step:08d}/*"))

    def close(self) -> None:
        self._left.close()


def gang(machines: ExitStack, folder: Path, data: str, **settings: Any) -> GangOfTwo:
    found = GangOfTwo(folder, data, **settings)
    machines.callback(found.close)
    return found
