"""Each strategy on a checkpoint that ``save_pretrained`` wrote: trained, stopped and gone on with, published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtj_api import MusicTrainingJob
from mtj_api.resolve import resolved_job
from mtj_trainer.families.musicgen.crops import Crops
from mtj_trainer.families.musicgen.family import MusicGenFamily
from mtj_trainer.families.musicgen.published import load_published
from mtj_trainer.storage import open_storage
from mtj_trainer.train.checkpoint import CheckpointFolder
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from support.musicgen import tiny
from support.musicgen_codes import MemoryCodes

pytestmark = pytest.mark.slow

STRATEGIES: dict[str, dict[str, Any]] = {
    "finetune": {},
    "lora": {"peft": {"rank": 2}},
    "dora": {"peft": {"rank": 2}},
    "ia3": {},
    "adapter": {"peft": {"bottleneck": 4}},
    "prompt": {"peft": {"tokens": 3}},
    "selective": {"selective": {"lastBlocks": 1, "norms": True}},
}
FILES = {"lora": "adapter_model.safetensors", "dora": "adapter_model.safetensors", "ia3": "adapter_model.safetensors"}
CODES = MemoryCodes([32] * 8)
STEPS = 6


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as transformers writes it, with its tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    model = tiny()
    model.complete.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


class Run:
    """A run of training in a folder; ``losses`` is what it logged."""

    def __init__(self, folder: Path, base: Path, stop: Callable[[], bool] = lambda: False, **training: Any) -> None:
        job = strategy_job(base, **training)
        assert job.spec.training is not None
        self.folder = folder
        output = open_storage(str(folder))
        family = MusicGenFamily(job, CODES)  # type: ignore[arg-type]
        checkpoints = CheckpointFolder(output.child("checkpoints"), 2)
        done = checkpoints.complete_steps()
        curves = Curves(output, output.child("checkpoints"), done[-1] if done else 0)
        self.trainer = Trainer(
            family,
            job.spec.training,
            World(0, 0, 1, torch.device("cpu")),
            checkpoints,
            lambda weights: family.save(output.child("model"), weights),
            Observer(TrainingMetrics("small", 0, 0, 0), curves, None),
            Intervals(log=1, validate=STEPS, checkpoint=2),
            stop,
        )
        self.finished = self.trainer.run()
        curves.write()
        self.losses = [row["loss"] for row in curves.rows if "loss" in row]

    @property
    def model(self) -> str:
        return str(self.folder / "model")


def strategy_job(base: Path, strategy: str, **training: Any) -> MusicTrainingJob:
    document = {
        "metadata": {"name": "adapted"},
        "spec": {
            "dataset": {"source": "/music"},
            "model": {"family": "musicgen", "pretrained": str(base)},
            "training": {
                "strategy": strategy,
                "steps": STEPS,
                "batch": {"size": 2},
                "precision": "fp32",
                "optimizer": {"learningRate": 0.004},
                "regularization": {"weightAveraging": 0.0},
                **training,
            },
            "output": "/out",
        },
    }
    return resolved_job(MusicTrainingJob.model_validate(document))


@torch.no_grad()
def nats(name: str) -> float:
    """What a published model needs for the music that it was trained on."""
    model = load_published(name)
    crops = Crops(model, CODES, ["text"])  # type: ignore[arg-type]
    return sum(float(model.step().eval()(batch).sum()) for batch in crops.side("train"))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_learns_goes_on_where_it_stopped_and_is_published(strategy: str, base: Path, tmp_path: Path) -> None:
    settings = STRATEGIES[strategy]
    undisturbed = Run(tmp_path / "undisturbed", base, strategy=strategy, **settings)
    left = iter([False, False, False, True])
    stopped = Run(tmp_path / "stopped", base, lambda: next(left, True), strategy=strategy, **settings)
    assert not stopped.finished
    resumed = Run(tmp_path / "stopped", base, strategy=strategy, **settings)
    assert resumed.finished
    assert resumed.losses == undisturbed.losses
    assert undisturbed.losses[-1] < undisturbed.losses[0]
    for name, tensor in undisturbed.trainer._averaged.weights.items():
        assert torch.equal(tensor, resumed.trainer._averaged.weights[name])
    assert nats(resumed.model) < nats(str(base))
    expected = FILES.get(strategy, "model.safetensors" if strategy == "finetune" else "adaptation.safetensors")
    assert [path.name for path in Path(resumed.model).glob("*.safetensors")] == [expected]


def test_an_adaptation_of_an_adapted_model_is_loaded_on_top_of_both(base: Path, tmp_path: Path) -> None:
    first = Run(tmp_path / "first", base, strategy="lora", peft={"rank": 2})
    alone = Run(tmp_path / "alone", Path(first.model), strategy="lora", peft={"rank": 2})
    merged = Run(tmp_path / "merged", Path(first.model), strategy="lora", peft={"rank": 2, "merge": True})
    assert nats(alone.model) == pytest.approx(nats(merged.model), rel=1e-5)
    assert nats(alone.model) < nats(first.model)


@pytest.mark.parametrize("strategy", ["lora", "dora", "ia3", "selective"])
def test_what_is_merged_is_the_same_model_and_needs_nothing_beside_it(
    strategy: str, base: Path, tmp_path: Path
) -> None:
    from transformers import MusicgenForConditionalGeneration

    settings = STRATEGIES[strategy]
    merging = {**settings, "peft": {**settings.get("peft", {}), "merge": True}}
    alone = Run(tmp_path / "alone", base, strategy=strategy, **settings)
    merged = Run(tmp_path / "merged", base, strategy=strategy, **merging)
    assert nats(merged.model) == pytest.approx(nats(alone.model), rel=1e-5)
    before = MusicgenForConditionalGeneration.from_pretrained(base).state_dict()
    after = MusicgenForConditionalGeneration.from_pretrained(merged.model).state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
