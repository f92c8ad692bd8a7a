"""MusicGen's plug into the training loop: its data stream, its loss and its model; AudioGen is the same class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mtj_api import JobError, MusicTrainingJob
from mtj_trainer.adaptation import MUSICGEN, Adaptation, save_adaptation
from mtj_trainer.families.family import Loss
from mtj_trainer.families.musicgen.adapted import adapt_model, merged
from mtj_trainer.families.musicgen.batch import Example, MusicGenBatch
from mtj_trainer.families.musicgen.captions import caption
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.configure import set_dropout
from mtj_trainer.families.musicgen.crops import Crops
from mtj_trainer.families.musicgen.weights import save_model
from mtj_trainer.families.windows import training_start, window_count
from mtj_trainer.storage import Storage, open_storage

if TYPE_CHECKING:
    from mtj_trainer.prepare.codes.dataset import CodesDataset

MELODY_DROPOUT = 0.5
"""How often a melody is hidden by itself, so that the model also follows a text alone; audiocraft's own setting."""


class MusicGenFamily:
    """See ``mtj_trainer.families.family.Family``.

    A condition is hidden as a whole, text and melody together, for classifier-free guidance. The text encoder of a
    model from scratch is trained along; that of a pretrained one is frozen, and its states come from the prepare stage.

    Args:
        job: a resolved job with a model.
        codes: of prepared recordings, in train and validation splits.
    """

    unit = "nats a code"
    needs_fp32 = False

    def __init__(self, job: MusicTrainingJob, codes: CodesDataset) -> None:
        assert job.spec.model is not None
        assert job.spec.training is not None
        self._spec, self._training, self._codes = job.spec.model, job.spec.training, codes
        self._conditioning = frozenset(self._spec.conditioning or ())
        self._samples = codes.samples("train")
        if not self._samples:
            raise JobError(
                "the training split holds no recordings",
                where="spec.dataset",
                instead="point dataset.source to a folder with recordings",
            )
        made = self._make()
        self._made: MusicGen | None = made
        self._saved = made
        self._check(made)
        self._crops = Crops(made, codes, self._conditioning)
        windows = [window_count(sample.frames, self._crops.context) for sample in self._samples]
        self._sample_of = np.repeat(np.arange(len(windows)), windows)
        self._window_of = np.concatenate([np.arange(count) for count in windows])
        self._order: tuple[int, npt.NDArray[np.int64]] | None = None
        self._adaptation: Adaptation | None = None

    @property
    def examples(self) -> int:
        return len(self._sample_of)

    def model(self, device: torch.device) -> nn.Module:
        """See ``Family.model``: what is trained alone; codec and frozen text encoder stay where they are."""
        made = self._made or self._make()
        self._made, self._saved = None, made
        if self._training.strategy not in ("full", "finetune"):
            torch.manual_seed(self._training.seed)
            self._adaptation = adapt_model(made, self._training)
        set_dropout(made.complete, self._training.regularization.dropout)
        if self._training.activation_checkpointing:
            made.complete.decoder.activation_checkpointing_enable()
        return made.step().to(device).train()

    def blocks(self, model: nn.Module) -> Sequence[nn.Module]:
        """See ``Family.blocks``: the decoder's, and those of a text encoder that is trained along."""
        texts = getattr(model, "text_encoder", None)
        return [*MUSICGEN.blocks_of(model), *(texts["encoder"].block if texts is not None else ())]

    def batch(self, positions: Sequence[int]) -> MusicGenBatch:
        """See ``Family.batch``."""
        return self._crops.collated([self._example(*divmod(position, self.examples)) for position in positions])

    def files(self, positions: Sequence[int]) -> list[str]:
        """See ``Family.files``."""
        examples = (self._shuffled(epoch)[index] for epoch, index in (divmod(p, self.examples) for p in positions))
        tracks = (self._samples[self._sample_of[example]].audio.track for example in examples)
        return [self._codes.dataset.tracks[track].file_path for track in tracks]

    def validation(self, rank: int, world: int) -> Iterator[MusicGenBatch]:
        """See ``Family.validation``."""
        return self._crops.side("validation", rank, world)

    def loss(self, model: nn.Module, batch: MusicGenBatch) -> Loss:
        """See ``Family.loss``: nats; ``codebook_k`` are those of a code of the k-th codebook."""
        nats: Tensor = model(batch)
        each = nats.detach() * len(nats)  # a codebook has one in so many of the counted codes
        return Loss(nats.sum(), {f"codebook_{index}": value for index, value in enumerate(each, start=1)})

    def judge(self, model: nn.Module, batch: MusicGenBatch) -> Tensor:
        """See ``Family.judge``: nats."""
        nats: Tensor = model(batch)
        return nats.sum()

    def save(self, folder: Storage, weights: dict[str, Tensor]) -> None:
        """See ``Family.save``: the whole model, with codec, text encoder and tokenizer; or an adaptation alone."""
        if self._adaptation is None:
            save_model(folder, self._saved, weights)
        elif self._training.peft.merge:
            save_model(folder, merged(self._saved, weights))
        else:
            save_adaptation(folder, self._adaptation, weights, self._spec.pretrained)

    def _make(self) -> MusicGen:
        if self._spec.pretrained is not None:
            from mtj_trainer.families.musicgen.published import load_merged

            return load_merged(self._spec.pretrained)
        from mtj_trainer.families.codec.codec import DacCodec, EncodecCodec, load_codec
        from mtj_trainer.families.musicgen.scratch import from_scratch

        codec = load_codec(open_storage(self._codes.codec_url))
        assert isinstance(codec, DacCodec | EncodecCodec)
        assert self._spec.architecture is not None
        return from_scratch(
            self._spec.architecture,
            codec.module,
            sorted({caption(self._codes.dataset.tracks[sample.audio.track]) for sample in self._samples}),
            melody="melody" in self._conditioning,
            dropout=self._training.regularization.dropout,
            seed=self._training.seed,
        )

    def _check(self, made: MusicGen) -> None:
        info, decoder = self._codes.info, made.complete.config.decoder
        if (info.codebooks, info.codebook_size) != (decoder.num_codebooks, decoder.vocab_size):
            raise JobError(
                f"the model writes {decoder.num_codebooks} codebooks of {decoder.vocab_size} codes, and the data has "
                f"{info.codebooks} of {info.codebook_size}",
                where="spec.model.pretrained",
                instead="prepare the data with this model's own codec",
            )
        if "melody" in self._conditioning and not made.is_melodic:
            raise JobError(
                "the pretrained model listens to no melody",
                where="spec.model.conditioning",
                instead="write [text], or start from a model such as facebook/musicgen-melody",
            )

    def _example(self, epoch: int, index: int) -> Example:
        example = int(self._shuffled(epoch)[index])
        random = np.random.default_rng([self._training.seed, epoch, example])
        shift, hide, hide_melody = random.random(3)
        sample = self._samples[self._sample_of[example]]
        first = training_start(sample.frames, self._crops.context, int(self._window_of[example]), float(shift))
        heard = bool(hide >= self._spec.condition_dropout)
        melody = heard and bool(hide_melody >= MELODY_DROPOUT)
        return self._crops.crop(sample, first, heard=heard, melody=melody, random=random)

    def _shuffled(self, epoch: int) -> npt.NDArray[np.int64]:
        order = self._order
        if order is None or order[0] != epoch:
            self._order = order = epoch, np.random.default_rng([self._training.seed, epoch]).permutation(self.examples)
        return order[1]
