"""The codec family's plug into the training loop: its crops, its losses and its model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from mtj_api import JobError, MusicTrainingJob
from mtj_trainer.families.codec.crops import CropBatch, Crops
from mtj_trainer.families.codec.model import CodecSizes, CodecTraining, make_codec
from mtj_trainer.families.codec.spectral import SHORTEST, Spectrograms, stft_distance
from mtj_trainer.families.codec.weights import load_dac, save_codec
from mtj_trainer.families.family import Loss
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.storage import Storage, open_storage

VALIDATION_CROPS = 8
"""Crops of a validation batch: as many as fit next to the training state in any case."""


class CodecFamily:
    """See ``mtj_trainer.families.family.Family``. What it counts are codes.

    Args:
        job: a resolved job whose model is a codec.
        dataset: prepared data with mono audio in its train and validation splits.

    Raises:
        JobError: the data, the pretrained codec and the losses do not fit together.
    """

    unit = "multi-resolution STFT distance"
    needs_fp32 = True  # in bf16 a step costs a tenth less on a CPU, and brings a codec far less forward

    def __init__(self, job: MusicTrainingJob, dataset: PreparedDataset) -> None:
        spec, training = job.spec.model, job.spec.training
        assert spec is not None
        assert training is not None
        self._seed = training.seed
        self._weights = training.losses.model_dump()
        if training.losses.feature_matching > 0 and training.losses.adversarial == 0:
            raise JobError(
                "there is no discriminator whose features could be matched",
                where="spec.training.losses.featureMatching",
                instead="write adversarial: 1 beside it, or leave it out",
            )
        rate = job.spec.dataset.audio.sample_rate
        if job.spec.dataset.audio.channels != 1:
            raise JobError("a codec reads mono", where="spec.dataset.audio.channels", instead="write 1")
        self._pretrained = load_dac(open_storage(spec.pretrained)) if spec.pretrained is not None else None
        if self._pretrained is not None:
            self.config = self._pretrained.config
        else:
            sizes = spec.codec_architecture
            assert sizes is not None
            self._sizes = CodecSizes(sample_rate=rate, **{**sizes.model_dump(), "strides": tuple(sizes.strides)})
            self.config = self._sizes.config()
        if self.config.sampling_rate != rate:
            raise JobError(
                f"the pretrained codec is for {self.config.sampling_rate} Hz",
                where="spec.dataset.audio.sampleRate",
                instead=f"write {self.config.sampling_rate}",
            )
        hop = self.config.hop_length
        self._frames = round(training.crop_seconds * rate / hop)
        if self._frames * hop < SHORTEST:
            raise JobError(
                f"crops of {training.crop_seconds:g} s are shorter than the longest transform of the losses",
                where="spec.training.cropSeconds",
                instead=f"write {(SHORTEST + hop) / rate:.2f} or more",
            )
        self._crops = Crops(dataset, rate, self._frames * hop, training.seed)
        self._spectrograms = Spectrograms()
        if not len(self._crops):
            raise JobError(
                "the training split holds no audio",
                where="spec.dataset",
                instead="point dataset.source to a folder with recordings, or take it out of dataset.modalities",
            )

    @property
    def examples(self) -> int:
        return len(self._crops)

    def model(self, device: torch.device) -> nn.Module:
        """See ``Family.model``."""
        torch.manual_seed(self._seed)
        codec, fresh = self._pretrained, self._pretrained is None
        if codec is None:
            codec = make_codec(self._sizes)
        model = CodecTraining(codec, self._weights, fresh=fresh)
        self._pretrained = None  # its memory is wanted for training
        return model.to(device)

    def blocks(self, model: nn.Module) -> Sequence[nn.Module]:
        """See ``Family.blocks``: those of encoder and decoder; the discriminator hears two signals in every pass."""
        assert isinstance(model, CodecTraining)
        return [*model.codec.encoder.block, *model.codec.decoder.block]

    def batch(self, positions: Sequence[int]) -> CropBatch:
        """See ``Family.batch``."""
        return self._batch(self._crops.training(positions))

    def files(self, positions: Sequence[int]) -> list[str]:
        """See ``Family.files``."""
        return self._crops.files(positions)

    def validation(self, rank: int, world: int) -> Iterator[CropBatch]:
        """See ``Family.validation``: the middle of segments."""
        samples = self._crops.validation()
        for index, first in enumerate(range(0, len(samples), VALIDATION_CROPS)):
            if index % world == rank:
                yield self._batch(self._crops.middle(samples[first : first + VALIDATION_CROPS]))

    def loss(self, model: nn.Module, batch: CropBatch) -> Loss:
        """See ``Family.loss``; each term, too, is its mean times the codes."""
        total, terms = model(batch.audio)
        return Loss(total * batch.counted, {name: term * batch.counted for name, term in terms.items()})

    def judge(self, model: nn.Module, batch: CropBatch) -> Tensor:
        """See ``Family.judge``: the mean distance of a crop from its reconstruction, times the codes."""
        decoded, _ = model(batch.audio)
        spectrograms = self._spectrograms.to(batch.audio.device)
        with torch.autocast(batch.audio.device.type, enabled=False):
            here, there = spectrograms(decoded), spectrograms(batch.audio[:, : decoded.shape[1]])
            distances = [
                stft_distance([one[i : i + 1] for one in here], [one[i : i + 1] for one in there])
                for i in range(len(batch.audio))
            ]
        return torch.stack(distances).mean() * batch.counted

    def save(self, folder: Storage, weights: dict[str, Tensor]) -> None:
        """See ``Family.save``."""
        save_codec(folder, self.config, weights)

    def _batch(self, audio: Tensor) -> CropBatch:
        return CropBatch(audio, len(audio) * self._frames * self.config.n_codebooks)
