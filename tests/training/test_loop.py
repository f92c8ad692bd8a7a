"""The loop on real, small data: it learns, goes on exactly where it stopped, and takes its stream from one place."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mtj_api import JobError, MusicTrainingJob, parse_job
from mtj_trainer.families.symbolic import family, load_model
from mtj_trainer.families.symbolic.family import SymbolicFamily
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.storage import open_storage
from mtj_trainer.train.checkpoint import CheckpointFolder
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from support.curves import losses
from support.prepared import chorales, prepare_scores

JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {name: small}
spec:
  dataset: {source: ./music, midi: {tokenizer: grid}}
  model: {architecture: {layers: 1, width: 32, heads: 2, context: 128}}
  training:
    steps: 40
    batch: {size: 4}
    precision: fp32
    optimizer: {learningRate: 0.01}
  output: ./out
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    folder = tmp_path_factory.mktemp("prepared")
    job = parse_job(JOB).job
    return PreparedDataset.open(prepare_scores(folder, chorales(), job.spec.dataset.midi), folder / "work")


def changed(**training: Any) -> MusicTrainingJob:
    job = parse_job(JOB).job
    assert job.spec.training is not None
    for name, value in training.items():
        setattr(job.spec.training, name, value)
    return job


class Run:
    """A training run in a folder; ``rows`` is what it logged."""

    def __init__(
        self,
        folder: Path,
        dataset: PreparedDataset,
        job: MusicTrainingJob,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        assert job.spec.training is not None
        self.output = open_storage(str(folder))
        self.family = SymbolicFamily(job, dataset)
        checkpoints = CheckpointFolder(self.output.child("checkpoints"), 2)
        done = checkpoints.complete_steps()
        curves = Curves(self.output, self.output.child("checkpoints"), done[-1] if done else 0)
        observer = Observer(TrainingMetrics("small", 0, 0, 0), curves, None)

        def save_best(weights: dict[str, Tensor]) -> None:
            self.family.save(self.output.child("best"), weights)

        self.trainer = Trainer(
            self.family,
            job.spec.training,
            World(0, 0, 1, torch.device("cpu")),
            checkpoints,
            save_best,
            observer,
            Intervals(log=5, validate=20, checkpoint=10),
            should_stop,
        )
        self.finished = self.trainer.run()
        observer.close()
        self.rows = curves.rows

    @property
    def losses(self) -> list[tuple[int, float]]:
        return [(row["step"], row["loss"]) for row in self.rows if "loss" in row]

    @property
    def validations(self) -> list[float]:
        return [row["validation_loss"] for row in self.rows if "validation_loss" in row]


class StopAfter:
    """Asks to stop once the loop has looked so many times."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_it_learns_and_keeps_the_best_weights(dataset: PreparedDataset, tmp_path: Path) -> None:
    run = Run(tmp_path, dataset, changed())
    assert run.finished
    assert run.losses[-1][1] < run.losses[0][1] / 2
    assert run.validations[-1] < run.validations[0]
    model, _ = load_model(open_storage(str(tmp_path / "best")))
    averaged = run.trainer._averaged.weights
    assert all(torch.equal(tensor, averaged[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("stops", [(7,), (10, 3), (1, 1, 26)])
def test_a_stopped_run_goes_on_with_the_same_losses_bit_for_bit(
    dataset: PreparedDataset, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    undisturbed = Run(tmp_path / "undisturbed", dataset, changed())
    for steps in stops:
        stopped = Run(tmp_path / "stopped", dataset, changed(), StopAfter(steps))
        assert not stopped.finished
    resumed = Run(tmp_path / "stopped", dataset, changed())
    assert resumed.finished
    assert resumed.losses == undisturbed.losses
    assert resumed.validations == undisturbed.validations
    for name, tensor in undisturbed.trainer._averaged.weights.items():
        assert torch.equal(tensor, resumed.trainer._averaged.weights[name])


@pytest.mark.parametrize(("breaks_off_at", "steps"), [(0, 30), (2, 20)])
def test_a_validation_that_is_broken_off_is_done_before_training_goes_on(
    dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks_off_at: int, steps: int
) -> None:
    monkeypatch.setattr(family, "VALIDATION_ROWS", 1)  # several batches
    undisturbed = Run(tmp_path / "undisturbed", dataset, changed(steps=steps))
    judged: list[Any] = []
    judge = SymbolicFamily.judge

    def count(self: SymbolicFamily, *arguments: Any) -> Tensor:
        if not torch.is_grad_enabled():  # training asks for it too
            judged.append(arguments)
        return judge(self, *arguments)

    monkeypatch.setattr(SymbolicFamily, "judge", count)
    for _ in range(2):  # the second time it is broken off where it is made up for
        judged.clear()
        stopped = Run(tmp_path / "stopped", dataset, changed(steps=steps), lambda: len(judged) > breaks_off_at)
        assert not stopped.finished
        assert len(judged) == breaks_off_at + 1
        assert stopped.trainer.state.step == 20
    resumed = Run(tmp_path / "stopped", dataset, changed(steps=steps))
    assert resumed.finished
    assert resumed.rows[-1]["step"] == steps
    assert resumed.losses == undisturbed.losses
    assert resumed.validations == undisturbed.validations
    assert resumed.trainer.state.best_loss == undisturbed.trainer.state.best_loss


def test_a_stop_is_heeded_while_data_is_waited_for(
    dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never, wanted, batch = threading.Event(), threading.Event(), SymbolicFamily.batch

    def stuck(family: SymbolicFamily, positions: range) -> Any:
        if positions[0] >= 4 * 13:
            wanted.set()
            never.wait()
        return batch(family, positions)

    monkeypatch.setattr(SymbolicFamily, "batch", stuck)
    stopped = Run(tmp_path, dataset, changed(), wanted.is_set)
    never.set()
    assert not stopped.finished
    step = stopped.trainer.state.step
    assert CheckpointFolder(stopped.output.child("checkpoints"), 2).complete_steps()[-1] == step
    monkeypatch.setattr(SymbolicFamily, "batch", batch)
    assert Run(tmp_path, dataset, changed()).finished


def test_a_stop_before_the_first_step_leaves_nothing_behind(dataset: PreparedDataset, tmp_path: Path) -> None:
    stopped = Run(tmp_path, dataset, changed(), lambda: True)
    assert not stopped.finished
    assert CheckpointFolder(stopped.output.child("checkpoints"), 2).complete_steps() == []


def test_a_lost_process_costs_the_steps_since_its_checkpoint_and_nothing_else(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    undisturbed = Run(tmp_path / "undisturbed", dataset, changed())

    class LostError(Exception):
        pass

    def die() -> bool:
        die.calls += 1  # type: ignore[attr-defined]
        if die.calls == 17:  # type: ignore[attr-defined]
            raise LostError
        return False

    die.calls = 0  # type: ignore[attr-defined]
    with pytest.raises(LostError):
        Run(tmp_path / "lost", dataset, changed(), die)
    resumed = Run(tmp_path / "lost", dataset, changed())
    assert resumed.losses == undisturbed.losses


def test_accumulation_computes_the_same_step_in_parts(dataset: PreparedDataset, tmp_path: Path) -> None:
    whole = changed(steps=5)
    parts = changed(steps=5)
    assert whole.spec.training is not None
    assert parts.spec.training is not None
    parts.spec.training.batch.accumulation = 4
    for job in (whole, parts):
        assert job.spec.training is not None
        job.spec.training.regularization.dropout = 0.0
    one, four = Run(tmp_path / "1", dataset, whole), Run(tmp_path / "4", dataset, parts)
    assert four.losses[-1][1] == pytest.approx(one.losses[-1][1], rel=1e-4)


def test_activation_checkpointing_changes_no_loss(dataset: PreparedDataset, tmp_path: Path) -> None:
    plain = Run(tmp_path / "plain", dataset, changed(steps=10))
    checkpointed = Run(tmp_path / "checkpointed", dataset, changed(steps=10, activation_checkpointing=True))
    assert checkpointed.losses == plain.losses


def test_bf16_trains_as_well(dataset: PreparedDataset, tmp_path: Path) -> None:
    run = Run(tmp_path, dataset, changed(precision="bf16"))
    assert run.losses[-1][1] < run.losses[0][1] / 2


def test_the_stream_is_a_pure_function_of_position(dataset: PreparedDataset) -> None:
    one, other = SymbolicFamily(changed(), dataset), SymbolicFamily(changed(), dataset)
    positions = [5, 3, 3 + one.examples, 1000]
    for first, second in zip(one.batch(positions).tokens, other.batch(positions).tokens, strict=True):
        assert torch.equal(first, second)
    assert torch.equal(one.batch([3]).tokens, one.batch(positions).tokens[1:2, : one.batch([3]).tokens.shape[1]])
    assert not torch.equal(one.batch([3]).tokens, one.batch([3 + one.examples]).tokens)


def test_an_epoch_sees_every_example_once(dataset: PreparedDataset) -> None:
    family = SymbolicFamily(changed(), dataset)
    for epoch in (0, 1):
        assert sorted(family._shuffled(epoch)) == list(range(family.examples))
    assert not np.array_equal(family._shuffled(0), family._shuffled(1))


def test_fine_tuning_starts_from_the_published_weights(dataset: PreparedDataset, tmp_path: Path) -> None:
    Run(tmp_path / "base", dataset, changed())
    job = parse_job(
        JOB.replace("architecture: {layers: 1, width: 32, heads: 2, context: 128}", f"pretrained: {tmp_path}/base/best")
    ).job
    assert job.spec.training is not None
    assert job.spec.training.strategy == "finetune"
    job.spec.training.steps = 5
    tuned = Run(tmp_path / "tuned", dataset, job)
    fresh = Run(tmp_path / "fresh", dataset, changed(steps=5))
    assert tuned.losses[-1][1] < fresh.losses[-1][1] / 2


def test_a_model_made_with_other_tokens_is_refused(dataset: PreparedDataset, tmp_path: Path) -> None:
    Run(tmp_path / "base", dataset, changed(steps=5))
    text = JOB.replace("tokenizer: grid", "tokenizer: grid, voices: 3")
    text = text.replace(
        "architecture: {layers: 1, width: 32, heads: 2, context: 128}", f"pretrained: {tmp_path}/base/best"
    )
    with pytest.raises(JobError, match="was made with other tokens"):
        SymbolicFamily(parse_job(text).job, dataset)


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        (changed(precision="fp16"), "spec.training.precision: fp16 needs a GPU; write auto, bf16 or fp32"),
        (
            parse_job(JOB.replace("learningRate: 0.01", "learningRate: 1.0, gradientClip: 1000.0")).job,
            "steps were bad",
        ),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_sentence(
    dataset: PreparedDataset, tmp_path: Path, job: MusicTrainingJob, sentence: str
) -> None:
    if "were bad" in sentence:
        assert job.spec.training is not None
        job.spec.training.optimizer.learning_rate = 1e20
    with pytest.raises(JobError) as refused:
        Run(tmp_path, dataset, job)
    assert sentence in str(refused.value)


def test_a_run_goes_on_with_its_own_curves_though_another_was_trained_since(tmp_path: Path) -> None:
    output = open_storage(str(tmp_path))
    one, other = (output.child(f"checkpoints/{run}") for run in ("one", "other"))
    for run, loss in ((one, 1.0), (other, 2.0)):
        curves = Curves(output, run, 0)
        for step in (10, 20):
            curves.add(step=step, loss=loss)
        curves.write()
    again = Curves(output, one, 10)
    again.add(step=20, loss=0.5)
    again.write()
    assert losses(output) == [(10, 1.0), (20, 0.5)]


def test_curves_are_json_lines(dataset: PreparedDataset, tmp_path: Path) -> None:
    run = Run(tmp_path, dataset, changed(steps=20))
    lines = (tmp_path / "train/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == run.rows
    assert {"step", "loss", "learning_rate", "gradient_norm", "tokens_per_second", "data_wait_fraction"} <= set(
        run.rows[0]
    )
