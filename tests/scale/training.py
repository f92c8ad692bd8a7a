"""How fast the training loop is: beside a bare loop, and beside transformers' Trainer with a GPT-2 of the same size.

Run ``python tests/scale/training.py DATASET_URL``: rounds of every contender in turn within one process, so that
all of them meet the same machine; medians of the rounds are compared. Prints one JSON object.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from mtj_api import MusicTrainingJob, parse_job
from mtj_trainer.families.symbolic import SymbolicModel
from mtj_trainer.families.symbolic.family import SymbolicFamily
from mtj_trainer.families.symbolic.model import token_nll
from mtj_trainer.families.symbolic.sequences import Batch
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.storage import open_storage
from mtj_trainer.train.checkpoint import CheckpointFolder
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from mtj_trainer.train.precision import autocast, choose_precision

ROWS, CONTEXT = 8, 512
STEPS, ROUNDS = 12, 3
SAVED_STEPS = 100
NEVER = 10**9

JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {name: bench}
spec:
  dataset: {importer: bach-chorales}
  model: {architecture: {layers: 4, width: 192, heads: 3, context: 512}}
  training: {batch: {size: 8}, steps: STEPS, precision: auto}
  monitoring: {metricsPort: 0}
  output: ./unused
"""

Round = Callable[[int], float]
"""Trains so many steps and returns the seconds that they took, without any set-up."""


def job(steps: int) -> MusicTrainingJob:
    return parse_job(JOB.replace("STEPS", str(steps))).job


def ours(dataset: PreparedDataset, checkpoint_every: int = NEVER) -> tuple[Round, dict[str, float]]:
    """The product's own loop, with everything that it does; and what it says of its waiting."""
    seen: dict[str, float] = {}

    def run(steps: int) -> float:
        resolved = job(steps)
        training = resolved.spec.training
        assert training is not None
        with tempfile.TemporaryDirectory() as folder:
            output = open_storage(folder)
            observer = Observer(TrainingMetrics("bench", 0, 0, 0), Curves(output, output.child("checkpoints"), 0), None)
            trainer = Trainer(
                _WithoutValidation(resolved, dataset),
                training,
                World(0, 0, 1, torch.device("cpu")),
                CheckpointFolder(output.child("checkpoints"), 2),
                lambda _weights: None,
                observer,
                Intervals(10, NEVER, checkpoint_every),
                lambda: False,
            )
            began = time.perf_counter()
            trainer.run()
            seconds = time.perf_counter() - began
            observer.close()
            seen["data_wait_fraction"] = trainer.state.waited_seconds / trainer.state.seconds
        return seconds

    return run, seen


class _WithoutValidation(SymbolicFamily):
    """The last step of a run validates; a benchmark of steps leaves that out."""

    def validation(self, rank: int, world: int) -> Any:
        return iter(())


def bare(batches: list[Batch], family: SymbolicFamily, precision: str) -> Round:
    """Forward, backward, step on batches that lie ready: the limit for any loop around this model."""
    model = family.model(torch.device("cpu"))
    assert isinstance(model, SymbolicModel)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def run(steps: int) -> float:
        began = time.perf_counter()
        for step in range(steps):
            batch = batches[step % len(batches)]
            with autocast(torch.device("cpu"), precision):
                logits = model(batch.tokens, batch.features)
            torch.autograd.backward(token_nll(logits, batch.targets).sum() / batch.counted)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - began

    return run


def peer(batches: list[Batch], vocabulary: int, tuned: str | None = None) -> Round:
    """transformers' Trainer and GPT-2: with its defaults, or ``tuned`` to a precision and no attention dropout."""
    config = transformers.GPT2Config(
        vocab_size=vocabulary, n_positions=CONTEXT, n_embd=192, n_layer=4, n_head=3, bos_token_id=1, eos_token_id=2
    )
    if tuned:
        config.attn_pdrop = 0.0
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config)
    rows: list[dict[str, Tensor]] = [
        {"input_ids": tokens, "labels": tokens} for batch in batches for tokens in batch.tokens
    ]

    def run(steps: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            trainer = transformers.Trainer(
                model=model,
                train_dataset=rows * (steps * ROWS // len(rows) + 1),
                args=transformers.TrainingArguments(
                    output_dir=folder,
                    max_steps=steps,
                    per_device_train_batch_size=ROWS,
                    learning_rate=1e-3,
                    bf16=tuned == "bf16",
                    use_cpu=True,
                    report_to=[],
                    save_strategy="no",
                    logging_steps=10,
                    disable_tqdm=True,
                    dataloader_pin_memory=False,
                ),
            )
            return float(trainer.train().metrics["train_runtime"])

    return run


def main(dataset_url: str) -> None:
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as work:
        dataset = PreparedDataset.open(dataset_url, Path(work))
        family = _WithoutValidation(job(1), dataset)
        full = [batch for n in range(60) if (batch := family.batch(range(n * ROWS, (n + 1) * ROWS))).counted > 4000]
        precision = choose_precision("auto", torch.device("cpu"))
        our_run, seen = ours(dataset)
        contenders: dict[str, Round] = {
            "ours": our_run,
            "bare": bare(full, family, precision),
            "peer": peer(full, family.config.vocabulary),
            "peer_tuned": peer(full, family.config.vocabulary, precision),
        }
        for run in contenders.values():
            run(2)
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, run in contenders.items():
                seconds[name].append(run(STEPS))
        speed = {name: STEPS * ROWS * CONTEXT / statistics.median(times) for name, times in seconds.items()}
        saving, _ = ours(dataset, checkpoint_every=SAVED_STEPS)
        plain, _ = ours(dataset)
        plain_seconds, saving_seconds = plain(SAVED_STEPS), saving(SAVED_STEPS)
        result: dict[str, float | str] = {
            "precision": precision,
            **{f"tokens_per_second.{name}": value for name, value in speed.items()},
            "ratio.peer": speed["ours"] / speed["peer"],
            "ratio.peer_tuned": speed["ours"] / speed["peer_tuned"],
            "ratio.bare": speed["ours"] / speed["bare"],
            "data_wait_fraction": seen["data_wait_fraction"],
            "checkpoint_cost": saving_seconds / plain_seconds - 1,
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
