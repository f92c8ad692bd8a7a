"""The symbolic family's plug into the training loop: its data stream, its loss and its model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mtj_api import JobError, MusicTrainingJob
from mtj_trainer.families.family import Loss
from mtj_trainer.families.symbolic.likelihood import evaluation_batches
from mtj_trainer.families.symbolic.model import SymbolicConfig, SymbolicModel, token_nll
from mtj_trainer.families.symbolic.sequences import Batch, Piece, Row, collate
from mtj_trainer.families.symbolic.weights import load_model, save_model
from mtj_trainer.families.windows import training_start, window_count
from mtj_trainer.prepare.dataset import PreparedDataset, Sample, Track
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.tokens import Conditions, Tokenizer, make_tokenizer

VALIDATION_ROWS = 16
"""Rows of a validation batch: as many as fit next to the training state in any case."""


class SymbolicFamily:
    """See ``mtj_trainer.families.family.Family``.

    Args:
        job: a resolved job with a model.
        dataset: prepared data with MIDI samples in its train and validation splits.
    """

    unit = "nats a token"
    needs_fp32 = False

    def __init__(self, job: MusicTrainingJob, dataset: PreparedDataset) -> None:
        spec, training = job.spec.model, job.spec.training
        assert spec is not None
        assert training is not None
        self._seed = training.seed
        self._conditioning = frozenset[str](spec.conditioning)
        self._condition_dropout = spec.condition_dropout
        self._transpose = job.spec.dataset.augmentation.transpose_semitones
        self._dataset = dataset
        self._checkpoint_activations = training.activation_checkpointing
        self.tokenizer: Tokenizer = make_tokenizer(job.spec.dataset.midi)
        self._pretrained: SymbolicModel | None = None
        if spec.pretrained is not None:
            self._pretrained, known = load_model(open_storage(spec.pretrained))
            if known.settings() != self.tokenizer.settings():
                raise JobError(
                    f"the pretrained model was made with other tokens ({known.settings()})",
                    where="spec.dataset.midi",
                    instead="prepare the data with the same tokenizer, stepsPerBeat, velocityBins and voices",
                )
            self.config = replace(self._pretrained.config, dropout=training.regularization.dropout)
        else:
            sizes = spec.architecture
            assert sizes is not None
            self.config = SymbolicConfig(
                vocabulary=self.tokenizer.size,
                feature_sizes=self.tokenizer.feature_sizes,
                layers=sizes.layers,
                width=sizes.width,
                heads=sizes.heads,
                context=sizes.context,
                dropout=training.regularization.dropout,
            )
        self._samples = dataset.samples("midi", "train")
        self._window = self.config.context - len(self.tokenizer.prefix(Conditions()))
        windows = [window_count(int(sample.length) + 1, self._window) for sample in self._samples]
        self._sample_of = np.repeat(np.arange(len(windows)), windows)
        self._window_of = np.concatenate([np.arange(count) for count in windows]) if windows else np.zeros(0, np.int64)
        self._order: tuple[int, npt.NDArray[np.int64]] | None = None
        if not self.examples:
            raise JobError(
                "the training split holds no MIDI",
                where="spec.dataset",
                instead="point dataset.source to a folder with MIDI files, or take it out of dataset.modalities",
            )

    @property
    def examples(self) -> int:
        return len(self._sample_of)

    def model(self, device: torch.device) -> nn.Module:
        """See ``Family.model``."""
        torch.manual_seed(self._seed)
        model = SymbolicModel(self.config, checkpoint_activations=self._checkpoint_activations)
        if self._pretrained is not None:
            model.load_state_dict(self._pretrained.state_dict())
            self._pretrained = None  # its memory is wanted for training
        return model.to(device)

    def blocks(self, model: nn.Module) -> Sequence[nn.Module]:
        """See ``Family.blocks``."""
        assert isinstance(model, SymbolicModel)
        return list(model.blocks)

    def batch(self, positions: Sequence[int]) -> Batch:
        """See ``Family.batch``."""
        return collate([self._row(*divmod(position, self.examples)) for position in positions], self.tokenizer.pad)

    def files(self, positions: Sequence[int]) -> list[str]:
        """See ``Family.files``."""
        examples = (self._shuffled(epoch)[index] for epoch, index in (divmod(p, self.examples) for p in positions))
        tracks = (self._samples[self._sample_of[example]].track for example in examples)
        return [self._dataset.tracks[track].file_path for track in tracks]

    def validation(self, rank: int, world: int) -> Iterator[Batch]:
        """See ``Family.validation``."""
        samples = self._dataset.samples("midi", "validation")
        pieces = [self._piece(sample, lambda conditions: conditions, 0) for sample in samples]
        batches = evaluation_batches(pieces, self.config.context, self.tokenizer.pad, VALIDATION_ROWS)
        yield from (batch for index, batch in enumerate(batches) if index % world == rank)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """See ``Family.loss``."""
        return Loss(self.judge(model, batch))

    def judge(self, model: nn.Module, batch: Batch) -> Tensor:
        """See ``Family.judge``."""
        return token_nll(model(batch.tokens, batch.features), batch.targets).sum()

    def save(self, folder: Storage, weights: dict[str, Tensor]) -> None:
        """See ``Family.save``."""
        save_model(folder, self.config, self.tokenizer, weights)

    def _row(self, epoch: int, index: int) -> Row:
        example = int(self._shuffled(epoch)[index])
        random = np.random.default_rng([self._seed, epoch, example])
        semitones = int(random.integers(-self._transpose, self._transpose + 1))
        hidden = random.random(4) < self._condition_dropout
        shift = float(random.random())

        def hide(conditions: Conditions) -> Conditions:
            names = ("key", "metre", "tempo", "instruments")
            return conditions.only(frozenset(name for name, hide in zip(names, hidden, strict=True) if not hide))

        piece = self._piece(self._samples[self._sample_of[example]], hide, semitones)
        start = training_start(piece.positions, self._window, int(self._window_of[example]), shift)
        return piece.row(start, self.config.context)

    def _shuffled(self, epoch: int) -> npt.NDArray[np.int64]:
        order = self._order
        if order is None or order[0] != epoch:
            self._order = order = epoch, np.random.default_rng([self._seed, epoch]).permutation(self.examples)
        return order[1]

    def _piece(self, sample: Sample, hide: Callable[[Conditions], Conditions], semitones: int) -> Piece:
        tokens = self.tokenizer.transpose(self._dataset.read_tokens(sample), semitones)
        known = track_conditions(self._dataset.tracks[sample.track]).transposed(semitones)
        return Piece(self.tokenizer, tokens, hide(known.only(self._conditioning)), known.metre)


def track_conditions(track: Track) -> Conditions:
    """What a track's metadata say of it, in the form in which a model is asked for it."""
    return Conditions(
        key=track.key,
        metre=track.metre,
        tempo=track.tempo,
        instruments=tuple(track.programs) if track.programs else None,
    )
