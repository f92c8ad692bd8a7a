"""Evaluating a symbolic model: held-out likelihood, samples and their figures, each beside its baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mtj_api import MusicTrainingJob
from mtj_trainer.evaluate import commissions as commissioning
from mtj_trainer.evaluate.baselines import ORDER, NgramBaseline, fit_ngram, untrained_model
from mtj_trainer.evaluate.compare import distances
from mtj_trainer.evaluate.compose import (
    Composer,
    Composition,
    carry_out,
    model_composer,
    ngram_composer,
    opening_statistics,
    request_figures,
    study_figures,
)
from mtj_trainer.evaluate.heldout import (
    Predictions,
    extent,
    gain_figures,
    likelihood_figures,
    predict_with_model,
    predict_with_ngram,
)
from mtj_trainer.evaluate.pieces import PreparedPiece, prepared_pieces
from mtj_trainer.evaluate.samples import Renderer, write_samples
from mtj_trainer.evaluate.statistics import Statistics
from mtj_trainer.families.symbolic import SymbolicModel, load_model
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.split import SIDES, Side
from mtj_trainer.progress import Progress
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.tokens import Tokenizer

MOST_TOKENS: dict[Side, int] = {"train": 20_000_000, "validation": 1_000_000, "test": 1_000_000}
"""Larger splits are sampled: more would take hours and hardly change a figure. ``heldout.tokens`` says how many."""


@dataclass(frozen=True)
class Contestant:
    """Something that is evaluated: ``prefix`` of its figures, and what it plays with."""

    prefix: str
    composer: Composer
    predict: Callable[[], list[Predictions]]


def evaluate_symbolic(
    job: MusicTrainingJob, prepared: dict[str, Any], weights: Storage, output: Storage
) -> dict[str, float]:
    """See ``mtj_trainer.evaluate.stage.Evaluate``."""
    return _Evaluation(job, PreparedDataset.open(prepared["dataset"], work_dir()), weights, output).run()


class _Evaluation:
    """One evaluation, with what its parts share."""

    def __init__(self, job: MusicTrainingJob, dataset: PreparedDataset, weights: Storage, output: Storage) -> None:
        assert job.spec.model is not None
        self.settings = job.spec.evaluation
        self.job = job
        self.output = output
        self.conditioning = frozenset[str](job.spec.model.conditioning)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.tokenizer = self._load(weights)
        self.splits = {side: prepared_pieces(dataset, side, MOST_TOKENS[side], self.settings.seed) for side in SIDES}
        self.commissions = [
            *commissioning.requested(self.settings.requests),
            *commissioning.continued(
                self.tokenizer, self.heldout, self.settings.continuations, self.conditioning, self.settings.seed
            ),
            *commissioning.studied(self.heldout, self.conditioning, self.settings.seed),
        ]

    @property
    def heldout(self) -> list[PreparedPiece]:
        return self.splits["test"]

    def run(self) -> dict[str, float]:
        contestants, figures = self._contestants()
        kept = [c for c in self.commissions if c.kind != "study"]
        progress = Progress("evaluate", len(contestants) * (len(self.commissions) + 1) + len(kept))
        count = 0

        def done(note: str) -> None:
            nonlocal count
            count += 1
            progress.update(count, note)

        if self.heldout:
            music = extent(self.tokenizer, self.heldout)
            figures |= {"heldout.pieces": music.pieces, "heldout.tokens": music.tokens, "heldout.notes": music.notes}
        figures["model.parameters"] = sum(weights.numel() for weights in self.model.parameters())
        reference = self._openings("test")
        own: list[Predictions] = []
        for contestant in contestants:
            if self.heldout:
                predictions = contestant.predict()
                found = likelihood_figures(predictions, music)
                if contestant.prefix:
                    found |= gain_figures(own, predictions)
                else:
                    own = predictions
                name = contestant.prefix or "heldout."
                figures |= {f"{name}{key}": value for key, value in found.items()}
                done(f"held-out loss {found['nll']:.3f} nats a token ({contestant.prefix.strip('.') or 'model'})")
            else:
                done("no held-out piece")
            pieces = carry_out(
                contestant.composer, self.tokenizer, self.commissions, self.settings.seed, lambda: done("composing")
            )
            measured = request_figures(pieces) | study_figures(pieces, reference)
            figures |= {f"{contestant.prefix}{key}": value for key, value in measured.items()}
            if not contestant.prefix:
                samples = [piece for piece in pieces if piece.commission.kind != "study"]
                figures |= self._write(samples, done)
        train = self._openings("train")
        if train and reference:
            figures |= {f"floor.{key}": value for key, value in distances(train, reference).items()}
        return {name: float(value) for name, value in sorted(figures.items()) if np.isfinite(value)}

    def _load(self, folder: Storage) -> tuple[SymbolicModel, Tokenizer]:
        model, tokenizer = load_model(folder)
        return model.to(self.device), tokenizer

    def _contestants(self) -> tuple[list[Contestant], dict[str, float]]:
        """The model and its baselines, and figures of how the baselines were made."""
        assert self.job.spec.model is not None
        models = {
            "": self.model,
            "baseline.untrained.": untrained_model(self.model.config, self.settings.seed + 1).to(self.device),
        }
        if self.job.spec.model.pretrained is not None:
            models["baseline.pretrained."] = self._load(open_storage(self.job.spec.model.pretrained))[0]
        contestants = [self._with_model(prefix, model) for prefix, model in models.items()]
        figures: dict[str, float] = {}
        if self.splits["train"]:
            semitones = self.job.spec.dataset.augmentation.transpose_semitones
            ngram = fit_ngram(self.tokenizer, self.splits["train"], self.splits["validation"], semitones)
            contestants.append(self._with_ngram(ngram))
            figures = {
                "baseline.ngram.order": ORDER,
                "baseline.ngram.transposed_semitones": ngram.semitones,
                "baseline.ngram.tokens": ngram.tokens,
            }
        return contestants, figures

    def _with_model(self, prefix: str, model: SymbolicModel) -> Contestant:
        return Contestant(
            prefix,
            model_composer(model, self.tokenizer, self.settings.sampling),
            lambda: predict_with_model(model, self.tokenizer, self.heldout, self.conditioning),
        )

    def _with_ngram(self, ngram: NgramBaseline) -> Contestant:
        return Contestant(
            "baseline.ngram.",
            ngram_composer(ngram.model, self.tokenizer, self.settings.sampling),
            lambda: predict_with_ngram(ngram.model, self.heldout),
        )

    def _openings(self, split: Side) -> list[Statistics]:
        chosen = commissioning.openings(self.tokenizer, self.splits[split], self.settings.seed)
        return opening_statistics(self.tokenizer, chosen)

    def _write(self, samples: list[Composition], done: Callable[[str], None]) -> dict[str, float]:
        render: Renderer | None = None
        if self.settings.render == "auto":
            from mtj_trainer.render import render_midi

            render = render_midi
        return write_samples(self.output, samples, render, lambda: done("rendering"))
