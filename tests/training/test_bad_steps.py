"""Bad steps: which they are, that they change nothing, and when training goes back or gives up."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mtj_api import JobError, MusicTrainingJob, parse_job
from mtj_api.spec import BadSteps, Optimizer
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.storage import open_storage
from mtj_trainer.train import bad_steps
from mtj_trainer.train.bad_steps import (
    LEAST,
    RECENT,
    WINDOW,
    Kind,
    Limits,
    StepHistory,
    is_bad,
    what_is_wrong,
)
from mtj_trainer.train.buffers import Buffers
from mtj_trainer.train.checkpoint import CheckpointFolder
from mtj_trainer.train.checkpoint.state import AVERAGED, OPTIMIZER, WEIGHTS
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine.ddp import DdpEngine
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from support.poison import BY_NAME, PoisonedFamily
from support.prepared import chorales, prepare_scores

NAN, INF = math.nan, math.inf
ROWS = 4

JOB = f"""
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: small}}
spec:
  dataset: {{source: ./music, midi: {{tokenizer: grid}}}}
  model: {{architecture: {{layers: 1, width: 16, heads: 2, context: 64}}}}
  training:
    steps: 30
    batch: {{size: {ROWS}}}
    precision: fp32
    optimizer: {{learningRate: 0.01}}
    badSteps: {{rollBackAfter: 3, failAfter: 2}}
  output: ./out
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    folder = tmp_path_factory.mktemp("prepared")
    return PreparedDataset.open(prepare_scores(folder, chorales(), parse_job(JOB).job.spec.dataset.midi), folder)


@pytest.fixture(autouse=True)
def judged_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of these tests is short."""
    monkeypatch.setattr(bad_steps, "LEAST", 8)


class Run:
    """A run in a folder, with poison at some positions or files of its stream."""

    def __init__(
        self,
        folder: Path,
        dataset: PreparedDataset,
        poisoned: Callable[[int], bool] = lambda _position: False,
        kind: str = "loss nan",
        stop_after: int = 10**9,
        job: MusicTrainingJob | None = None,
    ) -> None:
        job = job or parse_job(JOB).job
        assert job.spec.training is not None
        output = open_storage(str(folder))
        self.family = PoisonedFamily(job, dataset, poisoned=poisoned, poison=BY_NAME[kind])
        checkpoints = CheckpointFolder(output.child("checkpoints"), 9, interval=10)
        done = checkpoints.complete_steps()
        curves = Curves(output, output.child("checkpoints"), done[-1] if done else 0)
        self.metrics = TrainingMetrics("small", 0, 0, 0)
        self.trainer = Trainer(
            self.family,
            job.spec.training,
            World(0, 0, 1, torch.device("cpu")),
            checkpoints,
            lambda _weights: None,
            Observer(self.metrics, curves, None),
            Intervals(log=5, validate=10, checkpoint=10),
            lambda: self.trainer.state.step >= stop_after,
        )
        self.finished = self.trainer.run()
        self.rows = curves.rows

    @property
    def history(self) -> StepHistory:
        return self.trainer.state.history

    @property
    def losses(self) -> list[tuple[int, float]]:
        return [(row["step"], row.get("loss", row.get("validation_loss", math.nan))) for row in self.rows]

    @property
    def weights(self) -> dict[str, Tensor]:
        return self.trainer._averaged.weights | {f"own.{k}": v for k, v in self.trainer._engine.parts().items()}


def steps(*numbers: int) -> Callable[[int], bool]:
    """Poison in the last example of the batch of each of these steps, from 0, while data and steps go together."""
    return lambda position: position in {ROWS * number + ROWS - 1 for number in numbers}


def giving_up_at_once() -> MusicTrainingJob:
    job = parse_job(JOB).job
    assert job.spec.training is not None
    job.spec.training.bad_steps = BadSteps(roll_back_after=3, fail_after=0)
    return job


def saved(folder: Path, step: int) -> tuple[dict[str, Tensor], dict[str, Tensor], Any]:
    at = folder / f"checkpoints/step-{step:08d}"
    moments = torch.load(at / OPTIMIZER, weights_only=True)["optimizer"]["state"]
    return load_file(at / WEIGHTS), load_file(at / AVERAGED), moments


STEADY = StepHistory(losses=[2.0, 2.1, 1.9] * LEAST, norms=[1.0, 1.5, 0.7] * LEAST)


@pytest.mark.parametrize(
    ("loss", "norm", "overflowed", "wrong"),
    [
        (2.0, 1.0, None, None),
        (1e-3, 1e-9, None, None),
        (-5.0, 0.0, None, None),
        (2.9, 1.0, None, None),
        (9.0, 1.0, None, (Kind.SPIKE, "the loss is 9, a spike above 3.483")),
        (2.0, 50.0, None, None),
        (2.0, 1e5, None, (Kind.SPIKE, "the gradient norm is 1e+05, a spike above 198")),
        (NAN, 1.0, None, (Kind.NOT_FINITE, "the loss is nan")),
        (INF, NAN, None, (Kind.NOT_FINITE, "the loss is inf")),
        (-INF, 1.0, None, (Kind.NOT_FINITE, "the loss is -inf")),
        (2.0, NAN, None, (Kind.NOT_FINITE, "the gradient norm is nan")),
        (2.0, INF, False, (Kind.NOT_FINITE, "the gradient norm is inf")),
        (2.0, INF, True, None),
        (2.0, NAN, True, None),
        (NAN, NAN, True, (Kind.NOT_FINITE, "the loss is nan")),
    ],
)
def test_a_step_is_bad_that_is_no_number_or_far_above_those_before(
    loss: float, norm: float, overflowed: bool | None, wrong: tuple[Kind, str] | None
) -> None:
    limits = STEADY.limits(10.0)
    scaled = None if overflowed is None else torch.tensor(overflowed)
    found = is_bad(torch.tensor(loss, dtype=torch.float64), torch.tensor(norm, dtype=torch.float64), limits, scaled)
    assert bool(found) == (wrong is not None)
    if wrong is not None:
        assert what_is_wrong(loss, norm, limits) == wrong


def test_one_outlier_moves_no_limit_and_likeness_makes_no_spike() -> None:
    with_outlier = StepHistory(losses=[*STEADY.losses[1:], 1e6], norms=[*STEADY.norms[1:], 1e6])
    assert with_outlier.limits(10.0).loss == pytest.approx(STEADY.limits(10.0).loss, rel=0.1)
    alike = StepHistory(losses=[2.0] * LEAST, norms=[1.0] * LEAST).limits(10.0)
    assert (alike.loss, alike.norm) == pytest.approx((3.0, 100.0))


@pytest.mark.parametrize("history", [StepHistory(), StepHistory(losses=[1.0] * 7, norms=[1.0] * 7)])
def test_at_the_beginning_and_by_choice_nothing_is_a_spike(history: StepHistory) -> None:
    assert history.limits(10.0) == STEADY.limits(0.0) == Limits()


def test_what_is_remembered_is_bounded_and_survives_json() -> None:
    history = StepHistory()
    for step in range(1, 400):
        if step % 4:
            history.add_good(step, float(step), 1.0)
        else:
            history.add_bad(step, 8 * step, Kind.SPIKE)
    assert len(history.losses) == len(history.norms) == WINDOW
    assert [step for step, _ in history.recent] == [s for s in range(400 - RECENT, 400) if s % 4 == 0]
    again = StepHistory(**json.loads(json.dumps(vars(history))))
    assert again.limits(10.0) == history.limits(10.0)
    again.add_good(400, 1.0, 1.0)
    assert len(again.recent) == len(history.recent) - 1


@pytest.mark.parametrize("kind", BY_NAME)
def test_a_bad_step_changes_nothing_and_is_counted(dataset: PreparedDataset, tmp_path: Path, kind: str) -> None:
    Run(tmp_path, dataset, stop_after=12)
    before = saved(tmp_path, 12)
    run = Run(tmp_path, dataset, steps(12), kind, stop_after=13)
    after = saved(tmp_path, 13)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    history = run.history
    counts = (0, 1) if "spike" in kind else (1, 0)
    assert (history.not_finite, history.spikes) == counts
    assert (run.trainer.state.step, run.trainer.state.position) == (13, 13 * ROWS)
    assert history.recent == [(13, 12 * ROWS)]
    served = {(s.name, s.labels.get("kind")): s.value for family in run.metrics.collect() for s in family.samples}
    assert (served["mtj_train_bad_steps_total", "not_finite"], served["mtj_train_bad_steps_total", "spike"]) == counts


def test_training_goes_on_after_bad_steps_and_logs_the_good_ones_alone(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    run = Run(tmp_path, dataset, steps(3, 12, 13))
    assert run.finished
    assert all(math.isfinite(loss) for _, loss in run.losses)
    assert run.losses[-1][1] < run.losses[0][1]
    assert [row["bad_steps"] for row in run.rows if "loss" in row] == [1, 1, 3, 3, 3, 3]


PLACES = {
    "single bad steps": steps(2, 9, 20),
    "a return after a checkpoint": steps(12, 13, 14),
    "a return that a checkpoint is amid": steps(18, 19, 20),
    "a return to where the bad steps were": steps(10, 11, 12),
    "two returns to the same place": steps(12, 13, 14, 17, 18, 19),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_stopped_run_goes_on_bit_for_bit(dataset: PreparedDataset, tmp_path: Path, name: str) -> None:
    undisturbed = Run(tmp_path / "undisturbed", dataset, PLACES[name])
    for stop in (13, 19, 20):
        assert not Run(tmp_path / "stopped", dataset, PLACES[name], stop_after=stop).finished
    resumed = Run(tmp_path / "stopped", dataset, PLACES[name])
    assert resumed.losses == undisturbed.losses
    assert resumed.history == undisturbed.history
    assert resumed.trainer.state.position == undisturbed.trainer.state.position
    torch.testing.assert_close(resumed.weights, undisturbed.weights, rtol=0, atol=0)


def test_a_run_goes_back_to_the_last_good_checkpoint_and_on_past_the_data(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    run = Run(tmp_path, dataset, steps(12, 13, 14))
    assert run.finished
    assert run.history.rollbacks == 1
    assert run.trainer.state.step == 30
    assert run.trainer.state.position == 35 * ROWS, "five batches, of steps 10 to 14, were left behind"
    assert run.history.fruitless == 0, "the checkpoint of step 20 is good"
    assert [step for step, _ in run.losses] == [5, 10, 10, 15, 20, 20, 25, 30, 30]
    assert [row["step"] for row in run.rows if "validation_loss" in row] == [10, 20, 30]


def test_bad_steps_without_end_fail_and_name_their_data(dataset: PreparedDataset, tmp_path: Path) -> None:
    with pytest.raises(JobError) as failed:
        Run(tmp_path, dataset, lambda position: position >= 12 * ROWS)
    said = str(failed.value)
    assert said.startswith("spec.training.optimizer.learningRate: 3 of the last ")
    assert "steps were bad, and going back to a checkpoint, 2 times, did not help" in said
    assert "the loss is nan (examples 80 to 83 of the stream, of " in said
    assert said.endswith(
        "lower it below 0.01, or write precision: fp32, or a larger badSteps.spike than 10 where nothing is wrong "
        "with such steps"
    )


def test_a_file_that_all_bad_batches_share_is_named(dataset: PreparedDataset, tmp_path: Path) -> None:
    family = PoisonedFamily(parse_job(JOB).job, dataset, poisoned=bool, poison=BY_NAME["loss nan"])
    names = family.files(range(2000))
    culprit = names[10 * ROWS]
    with pytest.raises(JobError) as failed:
        Run(tmp_path, dataset, lambda position: names[position] == culprit, job=giving_up_at_once())
    assert str(failed.value).startswith("spec.dataset.source: ")
    assert f"all of the bad batches have {culprit}" in str(failed.value)
    assert str(failed.value).endswith(f"look at {culprit}, and take it out or put it right")


def test_without_a_checkpoint_there_is_nothing_to_go_back_to(dataset: PreparedDataset, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="3 of the last 3 steps were bad, and there is no good checkpoint to go back to"):
        Run(tmp_path, dataset, lambda _position: True)


def test_with_fail_after_0_a_run_never_goes_back(dataset: PreparedDataset, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="3 of the last 15 steps were bad, and that is too many"):
        Run(tmp_path, dataset, steps(12, 13, 14), job=giving_up_at_once())


def test_what_a_forward_pass_changes_is_undone() -> None:
    norm = nn.BatchNorm1d(2)
    buffers = Buffers(norm)
    for undo in (True, False):
        buffers.remember()
        before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
        norm(torch.tensor([[1.0, 2.0], [NAN if undo else 3.0, 4.0]]))
        buffers.restore(torch.tensor(undo))
        for name, buffer in norm.named_buffers():
            assert torch.equal(buffer, before[name]) == undo


@pytest.mark.parametrize(("gradient", "left_out"), [(1.0, False), (INF, True), (NAN, True)])
def test_what_the_scaler_of_fp16_leaves_out_is_its_own_affair(gradient: float, left_out: bool) -> None:
    layer = nn.Linear(1, 1)
    world = World(0, 0, 1, torch.device("cpu"))
    engine = DdpEngine(layer, Optimizer(learning_rate=0.1, weight_decay=0.0), world, "fp16")
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    told: list[tuple[bool, bool]] = []

    def judge(norm: Tensor, overflowed: Tensor | None) -> Tensor:
        assert overflowed is not None
        bad = is_bad(torch.tensor(1.0), norm, Limits(), overflowed)
        told.append((bool(bad), bool(overflowed)))
        return (bad | overflowed).float()

    for _ in range(2):
        engine.backward((layer.weight * gradient).sum())
        engine.step(0.1, judge)
    assert told == [(False, left_out)] * 2
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items() if "bias" in name)
    assert torch.equal(before["weight"], layer.state_dict()["weight"]) == left_out
    scale = engine.optimizer_state()["scaler"]["scale"]
    assert scale == (2.0**14 if left_out else 2.0**16)
