"""Memory that runs out: what is said, and smaller passes in the next attempt."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mtj_api import JobError, MusicTrainingJob, parse_job
from mtj_api.contract import OUT_OF_MEMORY_ENV
from mtj_api.spec import JobSpec
from mtj_trainer.families.family import Loss
from mtj_trainer.families.symbolic.family import SymbolicFamily
from mtj_trainer.families.symbolic.sequences import Batch
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.stage import OutOfMemory
from mtj_trainer.storage import open_storage
from mtj_trainer.train import __main__ as stage
from mtj_trainer.train.distributed import World
from mtj_trainer.train.oom_kills import oom_kills
from mtj_trainer.train.passes import KEY, divided, out_of_memory, ran_out, settle
from mtj_trainer.train.pulse import Pulse
from support.prepared import chorales, prepare_scores

JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {name: small}
spec:
  dataset: {source: ./music, midi: {tokenizer: grid}}
  model: {architecture: {layers: 1, width: 16, heads: 2, context: 64}}
  training:
    steps: 12
    batch: {size: 8}
    precision: fp32
    regularization: {dropout: 0.0}
  checkpoint: {url: CHECKPOINTS, everySteps: 5}
  monitoring: {metricsPort: 0, tensorboard: false}
  output: ./out
"""


def alone(rank: int = 0, size: int = 1) -> World:
    return World(rank, rank, size, torch.device("cpu"))


def job(folder: Path, **batch: Any) -> MusicTrainingJob:
    found = parse_job(JOB.replace("CHECKPOINTS", str(folder / "checkpoints"))).job
    assert found.spec.training is not None
    for name, value in batch.items():
        setattr(found.spec.training.batch, name, value)
    return found


class SmallMachine(SymbolicFamily):
    """The symbolic family where a pass of more than so many sequences finds no memory, from some step on."""

    most: int
    after: int

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        if model.training and len(batch.tokens) > self.most:
            SmallMachine.after -= 1
            if SmallMachine.after < 0:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().loss(model, batch)


class Machine:
    """Attempts at the training stage, one after the other, where memory runs out for larger passes."""

    def __init__(self, folder: Path, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.output = open_storage(str(folder / "out"))
        self._folder, self._dataset, self._monkeypatch = folder, dataset, monkeypatch

    def attempt(self, job: MusicTrainingJob, *, most: int, after: int = 0, told: bool = False) -> None:
        SmallMachine.most, SmallMachine.after = most, after
        prepared = PreparedDataset.open(self._dataset, self._folder / "work")
        self._monkeypatch.setattr(stage, "make_family", lambda job, _prepared: SmallMachine(job, prepared))
        if told:
            self._monkeypatch.setenv(OUT_OF_MEMORY_ENV, "1")
        else:
            self._monkeypatch.delenv(OUT_OF_MEMORY_ENV, raising=False)
        assert stage._train(job, self.output, {"dataset": self._dataset}, alone(), Pulse())

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.output.read(stage.RECORD))
        return found

    @property
    def losses(self) -> list[float]:
        rows = [json.loads(line) for line in self.output.read(self.record["curves"]).splitlines()]
        return [row["loss"] for row in rows if "loss" in row]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    midi = parse_job(JOB.replace("CHECKPOINTS", "x")).job.spec.dataset.midi
    return Machine(tmp_path, prepare_scores(tmp_path, chorales(8), midi), monkeypatch)


def test_a_job_that_asks_for_too_much_is_told_what_to_write(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(JobError) as failed:
        machine.attempt(job(tmp_path), most=4)
    said = str(failed.value)
    assert said.startswith("spec.training: training needs more memory than there is, with 8 sequences a pass; write ")
    assert said.endswith("training.batch.auto: true, which finds out how many passes it takes")


def test_with_auto_each_attempt_after_memory_ran_out_takes_smaller_passes(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OutOfMemory, match="memory ran out with 8 sequences a pass; the next attempt takes 4"):
        machine.attempt(job(tmp_path, auto=True), most=2, after=7)
    with pytest.raises(OutOfMemory, match="memory ran out with 4 sequences a pass; the next attempt takes 2"):
        machine.attempt(job(tmp_path, auto=True), most=2, told=True)
    machine.attempt(job(tmp_path, auto=True), most=2, told=True)
    assert "4 passes a step, as memory ran out with 4 sequences a pass" in capsys.readouterr().out
    assert machine.record["figures"]["train.accumulation"] == 4
    found = machine.losses

    whole = Machine(tmp_path / "whole", machine._dataset, machine._monkeypatch)
    whole.attempt(job(tmp_path / "whole"), most=8)
    assert found == pytest.approx(whole.losses, rel=1e-4), "the same batches, added up in another order"


def test_another_death_leaves_the_passes_as_they_are(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory):
        machine.attempt(job(tmp_path, auto=True), most=4)
    machine.attempt(job(tmp_path, auto=True), most=4, told=True)
    machine.attempt(job(tmp_path, auto=True), most=4)
    assert machine.record["figures"]["train.accumulation"] == 2


def test_one_sequence_a_pass_is_the_least(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="with 1 sequence a pass; "):
        machine.attempt(job(tmp_path, auto=True, accumulation=8), most=0)
    with pytest.raises(JobError, match="with 1 sequence a pass"):
        machine.attempt(job(tmp_path, auto=True, accumulation=8), most=8, told=True)


@pytest.mark.parametrize(
    ("size", "accumulation", "processes", "at_least", "expected"),
    [
        (8, 1, 1, 1, 1),
        (8, 1, 1, 2, 2),
        (8, 1, 2, 4, 4),
        (8, 1, 2, 5, None),
        (6, 1, 1, 4, 6),
        (7, 1, 1, 2, 7),
        (12, 2, 1, 4, 4),
        (12, 2, 3, 3, 4),
        (1, 1, 1, 2, None),
    ],
)
def test_passes_divide_a_step_evenly(
    tmp_path: Path, size: int, accumulation: int, processes: int, at_least: int, expected: int | None
) -> None:
    training = job(tmp_path, size=size, accumulation=accumulation).spec.training
    assert training is not None
    training.nodes = processes
    assert divided(training, at_least) == expected


@pytest.mark.parametrize(("processes", "had", "left"), [(4, 8, 4), (3, 6, 4), (2, 8, 4), (1, 8, 4)])
def test_fewer_machines_than_the_job_asks_for_take_smaller_passes_too(
    tmp_path: Path, processes: int, had: int, left: int
) -> None:
    spec = job(tmp_path, auto=True, size=32).spec
    assert spec.training is not None
    spec.training.nodes = 4
    told = out_of_memory(spec, World(0, 0, processes, torch.device("cpu")), in_steps=True)
    assert str(told) == f"memory ran out with {had} sequences a pass; the next attempt takes {left}"


def test_what_was_found_holds_for_another_number_of_processes(tmp_path: Path) -> None:
    storage, spec = open_storage(str(tmp_path)), job(tmp_path, auto=True).spec
    storage.write(KEY, json.dumps({"accumulation": 4, "because": "memory ran out with 4 sequences a pass"}).encode())
    assert settle(spec, storage, alone(), ran_out_before=False).accumulation == 4
    assert json.loads(storage.read(KEY))["accumulation"] == 4
    spec.training.batch.size = 6  # type: ignore[union-attr]
    assert settle(spec, storage, alone(), ran_out_before=False).accumulation == 6


def test_out_of_memory_errors_are_known_by_their_kind() -> None:
    for run in (lambda: torch.empty(1 << 55), lambda: bytearray(1 << 60)):
        with pytest.raises((RuntimeError, MemoryError)) as real:
            run()
        assert ran_out(real.value)
    assert ran_out(torch.OutOfMemoryError("CUDA out of memory"))
    assert not ran_out(RuntimeError("connection reset by peer"))
    assert not ran_out(ValueError(math.nan))


@pytest.mark.parametrize(
    ("batch", "in_steps", "kind"),
    [
        ({"auto": True}, True, OutOfMemory),
        ({"auto": True}, False, JobError),
        ({"auto": False}, True, JobError),
        ({"auto": True, "size": 1}, True, JobError),
    ],
)
def test_only_smaller_passes_are_worth_another_attempt(
    tmp_path: Path, batch: dict[str, Any], in_steps: bool, kind: type[Exception]
) -> None:
    spec: JobSpec = job(tmp_path, **batch).spec
    assert isinstance(out_of_memory(spec, alone(), in_steps=in_steps), kind)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/vmstat": "nr_free_pages 7\noom_kill 3\n"}, 3),
        ({"proc/vmstat": "oom_kill 3\n", "sys/fs/cgroup/memory.events": "max 2\noom 1\noom_kill 1\n"}, 1),
        (
            {
                "proc/self/cgroup": "0::/pod/stage\n",
                "sys/fs/cgroup/memory.events": "oom_kill 9\n",
                "sys/fs/cgroup/pod/stage/memory.events": "oom_kill 2\noom_group_kill 0\n",
            },
            2,
        ),
    ],
)
def test_the_kernel_counts_whom_it_ended(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert oom_kills(tmp_path) == expected
