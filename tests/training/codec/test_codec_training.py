"""The codec family in the training loop: its stream, that it learns and resumes, and what it publishes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import DacModel

from mtj_api import JobError, MusicTrainingJob, parse_job
from mtj_trainer.families.codec import codec_of, load_codec
from mtj_trainer.families.codec.crops import CropBatch
from mtj_trainer.families.codec.family import CodecFamily
from mtj_trainer.families.codec.model import CodecTraining, make_codec
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.storage import open_storage
from mtj_trainer.train.checkpoint import CheckpointFolder
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from support.prepared_audio import prepare_tones
from support.quantized_together import EVERY_LOSS, TINY

JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: small}}
spec:
  dataset: {{source: ./music, audio: {{sampleRate: 8000, channels: 1}}}}
  model: {model}
  training:
    steps: 40
    cropSeconds: 0.5
    batch: {{size: 2}}
    precision: fp32
    losses: {losses}
    optimizer: {{learningRate: 0.01}}
  output: ./out
"""
SMALL = (
    "{family: codec, codecArchitecture: "
    "{encoderWidth: 4, strides: [4, 8], decoderWidth: 16, codebooks: 2, codebookSize: 16, codebookDim: 4}}"
)


def job(losses: str = "{}", model: str = SMALL) -> MusicTrainingJob:
    return parse_job(JOB.format(losses=losses, model=model)).job


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    folder = tmp_path_factory.mktemp("prepared")
    return PreparedDataset.open(prepare_tones(folder), folder / "work")


class Run:
    """A training run in a folder; ``rows`` is what it logged."""

    def __init__(self, folder: Path, family: CodecFamily, job: MusicTrainingJob, stop: Callable[[], bool]) -> None:
        assert job.spec.training is not None
        output = open_storage(str(folder))
        checkpoints = CheckpointFolder(output.child("checkpoints"), 2)
        done = checkpoints.complete_steps()
        curves = Curves(output, output.child("checkpoints"), done[-1] if done else 0)
        observer = Observer(TrainingMetrics("small", 0, 0, 0), curves, None)

        def save_best(weights: dict[str, Tensor]) -> None:
            family.save(output.child("best"), weights)

        trainer = Trainer(
            family,
            job.spec.training,
            World(0, 0, 1, torch.device("cpu")),
            checkpoints,
            save_best,
            observer,
            Intervals(log=5, validate=10, checkpoint=10),
            stop,
        )
        trainer.run()
        observer.close()
        self.rows: list[dict[str, Any]] = curves.rows
        self.weights = load_file(folder / "best/model.safetensors")

    def curve(self, name: str) -> list[float]:
        return [row[name] for row in self.rows if name in row]


def run(folder: Path, dataset: PreparedDataset, job: MusicTrainingJob, stop: Callable[[], bool] = lambda: False) -> Run:
    return Run(folder, CodecFamily(job, dataset), job, stop)


@pytest.fixture(scope="module")
def trained(dataset: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("trained")
    return folder, run(folder, dataset, job())


def test_it_learns(trained: tuple[Path, Run]) -> None:
    _, done = trained
    assert done.curve("loss")[-1] < 0.8 * done.curve("loss")[0]
    assert min(done.curve("validation_loss")) < done.curve("validation_loss")[0]
    terms = {"loss_waveform", "loss_stft", "loss_mel", "loss_commitment", "loss_codebook_use"}
    assert {name for name in done.rows[0] if name.startswith("loss_")} == terms
    assert 0 < done.curve("loss_codebook_use")[-1] <= 1


def test_a_stopped_run_goes_on_bit_for_bit(trained: tuple[Path, Run], dataset: PreparedDataset, tmp_path: Path) -> None:
    looks = iter(range(100))
    run(tmp_path, dataset, job(), lambda: next(looks) >= 12)
    resumed = run(tmp_path, dataset, job())
    _, undisturbed = trained
    assert resumed.curve("loss")[-1] == undisturbed.curve("loss")[-1]
    assert resumed.curve("validation_loss")[-1] == undisturbed.curve("validation_loss")[-1]
    assert all(torch.equal(undisturbed.weights[name], tensor) for name, tensor in resumed.weights.items())


def test_a_step_that_is_no_number_leaves_no_trace_in_the_average(dataset: PreparedDataset, tmp_path: Path) -> None:
    class Poisoned(CodecFamily):
        def batch(self, positions: Sequence[int]) -> CropBatch:
            batch = super().batch(positions)
            return replace(batch, audio=batch.audio * math.nan) if 21 in positions else batch

    done = Run(tmp_path, Poisoned(job(), dataset), job(), lambda: False)
    assert done.curve("bad_steps")[-1] == 1
    assert all(torch.isfinite(tensor).all() for tensor in done.weights.values())
    assert math.isfinite(done.curve("validation_loss")[-1])


def test_what_is_published_is_a_dac_and_nothing_else(trained: tuple[Path, Run]) -> None:
    folder, _ = trained
    assert sorted(path.name for path in (folder / "best").iterdir()) == ["config.json", "model.safetensors"]
    model, found = DacModel.from_pretrained(folder / "best", output_loading_info=True)
    assert not any(found.values())
    audio = 0.1 * torch.randn(1, 1, 640)
    codec = load_codec(open_storage(str(folder / "best")))
    assert (codec.sample_rate, codec.hop, codec.codebooks, codec.codebook_size) == (8_000, 32, 2, 16)
    assert torch.equal(codec.encode(audio), codec_of(model).encode(audio))


def test_training_goes_on_with_a_published_codec(
    trained: tuple[Path, Run], dataset: PreparedDataset, tmp_path: Path
) -> None:
    folder, before = trained
    further = run(tmp_path, dataset, job(model=f"{{family: codec, pretrained: {folder}/best}}"))
    assert further.curve("validation_loss")[-1] < before.curve("validation_loss")[-1]


def test_a_discriminator_learns_beside_the_codec_and_is_not_published(
    trained: tuple[Path, Run], dataset: PreparedDataset, tmp_path: Path
) -> None:
    _, without = trained
    done = run(tmp_path, dataset, job("{adversarial: 1, featureMatching: 1}"))
    assert done.weights.keys() == without.weights.keys()
    assert done.curve("loss_discriminator")[-1] < done.curve("loss_discriminator")[0]
    assert {"loss_adversarial", "loss_feature_matching"} <= done.rows[0].keys()


def gradients(weights: dict[str, float]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    training = CodecTraining(make_codec(TINY), weights)
    torch.manual_seed(1)
    total, _ = training(0.3 * torch.randn(2, 4096))
    total.backward()
    return {name: one.grad for name, one in training.named_parameters() if one.grad is not None}


def test_a_discriminator_gets_the_gradient_of_its_own_loss_alone() -> None:
    strong, weak = (gradients({**EVERY_LOSS, "adversarial": weight}) for weight in (100.0, 0.01))
    assert strong.keys() == weak.keys()
    for name in strong:
        assert torch.equal(strong[name], weak[name]) == name.startswith("discriminator."), name


def test_without_an_adversarial_loss_there_is_no_discriminator() -> None:
    training = CodecTraining(make_codec(TINY), {**EVERY_LOSS, "adversarial": 0.0, "feature_matching": 0.0})
    assert training.discriminator is None
    assert {name.split(".")[0] for name, _ in training.named_parameters()} == {"codec"}


def test_every_trained_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    training = CodecTraining(make_codec(TINY), EVERY_LOSS)
    found = gradients(EVERY_LOSS)
    assert set(found) == {name for name, one in training.named_parameters() if one.requires_grad}


def test_a_crop_follows_from_its_position_alone(dataset: PreparedDataset) -> None:
    one, other = CodecFamily(job(), dataset), CodecFamily(job(), dataset)
    last = one.examples * 3
    together = one.batch([0, 1, last])
    assert together.audio.shape == (3, 4000)
    assert together.counted == 3 * 125 * 2
    for index, position in [(2, last), (0, 0), (1, 1)]:
        assert torch.equal(other.batch([position]).audio[0], together.audio[index])


def test_an_epoch_hears_all_music_once_and_the_next_cuts_it_elsewhere(dataset: PreparedDataset) -> None:
    family = CodecFamily(job(), dataset)
    seconds = sum(sample.length for sample in dataset.samples("audio", "train"))
    assert family.examples == pytest.approx(seconds / 0.5, abs=len(dataset.samples("audio", "train")))
    epochs = [family.batch(range(n * family.examples, (n + 1) * family.examples)).audio for n in range(2)]
    assert not any(torch.equal(one, other) for one in epochs[0] for other in epochs[1])


def test_validation_is_divided_among_the_processes(dataset: PreparedDataset) -> None:
    family = CodecFamily(job(), dataset)
    whole = [batch.audio for batch in family.validation(0, 1)]
    parts = [batch.audio for rank in range(2) for batch in family.validation(rank, 2)]
    assert sum(map(len, whole)) == sum(map(len, parts)) == len(dataset.samples("audio", "validation"))
    assert torch.equal(torch.cat(whole), torch.cat([batch.audio for batch in family.validation(0, 1)]))


REFUSED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "there is no discriminator": ("spec.training.losses.featureMatching", lambda j: j.spec.training.losses),
    "shorter than the longest transform": ("spec.training.cropSeconds", lambda j: j.spec.training),
    "a codec reads mono": ("spec.dataset.audio.channels", lambda j: j.spec.dataset.audio),
}
CHANGES = {
    "losses.featureMatching": ("feature_matching", 1.0),
    "cropSeconds": ("crop_seconds", 0.2),
    "channels": ("channels", 2),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_does_not_fit_together_is_refused(said: str, dataset: PreparedDataset) -> None:
    wrong = job()
    where, part = REFUSED[said]
    field, value = next(change for end, change in CHANGES.items() if where.endswith(end))
    setattr(part(wrong), field, value)
    with pytest.raises(JobError, match=said) as refused:
        CodecFamily(wrong, dataset)
    assert where in str(refused.value)


def test_a_pretrained_codec_of_another_rate_is_refused(trained: tuple[Path, Run], dataset: PreparedDataset) -> None:
    wrong = job(model=f"{{family: codec, pretrained: {trained[0]}/best}}")
    wrong.spec.dataset.audio.sample_rate = 16_000
    with pytest.raises(JobError, match="the pretrained codec is for 8000 Hz"):
        CodecFamily(wrong, dataset)
