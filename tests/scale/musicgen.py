"""How fast a MusicGen is trained on cached codes: beside a bare loop, transformers' Trainer, and encoding in the loop.

Run ``python tests/scale/musicgen.py``: rounds of every contender in turn within one process, so that all of them meet
the same machine; medians of the rounds are compared. Prints one JSON object.
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
from mtj_trainer.families.codec import load_codec
from mtj_trainer.families.musicgen.batch import MusicGenBatch
from mtj_trainer.families.musicgen.configure import set_dropout
from mtj_trainer.families.musicgen.family import MusicGenFamily
from mtj_trainer.storage import open_storage
from mtj_trainer.train.checkpoint import CheckpointFolder
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from mtj_trainer.train.precision import usual_device

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.musicgen_codes import Info, MemoryCodes

ROWS, FRAMES, CODEBOOKS, CODEBOOK_SIZE, HOP = 8, 500, 6, 512, 320
ROUNDS = 3
NEVER = 10**9
DEVICE = usual_device()
STEPS = 8 if DEVICE.type == "cpu" else 100

JOB = f"""
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: bench}}
spec:
  dataset: {{prepared: ./unused}}
  model:
    family: musicgen
    codec: {{url: ./unused}}
    architecture: {{layers: 4, width: 256, heads: 4, context: {FRAMES}}}
  training: {{batch: {{size: {ROWS}}}, steps: STEPS, precision: fp32, regularization: {{dropout: 0.0}}}}
  monitoring: {{metricsPort: 0}}
  output: ./unused
"""

Round = Callable[[int], float]
"""Trains so many steps and returns the seconds that they took, without any set-up."""


class _WithoutValidation(MusicGenFamily):
    """The last step of a run validates; a benchmark of steps leaves that out."""

    def validation(self, rank: int, world: int) -> Any:
        return iter(())


def job(steps: int) -> MusicTrainingJob:
    return parse_job(JOB.replace("STEPS", str(steps))).job


def codes(folder: str) -> Any:
    """Segments of ten seconds, and a codec of the sample's size that they might come from."""
    torch.manual_seed(0)
    transformers.DacModel(
        transformers.DacConfig(
            sampling_rate=16_000,
            encoder_hidden_size=16,
            downsampling_ratios=[2, 4, 5, 8],
            decoder_hidden_size=192,
            n_codebooks=CODEBOOKS,
            codebook_size=CODEBOOK_SIZE,
        )
    ).save_pretrained(folder)
    return MemoryCodes([FRAMES] * 64, folder, info=Info(CODEBOOKS, CODEBOOK_SIZE, HOP))


def ours(source: Any) -> Round:
    """The product's own loop, with everything that it does."""

    def run(steps: int) -> float:
        resolved = job(steps)
        assert resolved.spec.training is not None
        with tempfile.TemporaryDirectory() as folder:
            output = open_storage(folder)
            trainer = Trainer(
                _WithoutValidation(resolved, source),
                resolved.spec.training,
                World(0, 0, 1, DEVICE),
                CheckpointFolder(output.child("checkpoints"), 2),
                lambda _weights: None,
                Observer(TrainingMetrics("bench", 0, 0, 0), Curves(output, output.child("checkpoints"), 0), None),
                Intervals(10, NEVER, NEVER),
                lambda: False,
            )
            began = time.perf_counter()
            trainer.run()
            return time.perf_counter() - began

    return run


def bare(batches: list[MusicGenBatch], family: MusicGenFamily, encode: Callable[[], None] = lambda: None) -> Round:
    """Forward, backward, step on batches that lie ready: the limit for any loop around this model.

    Args:
        encode: is done before each step.
    """
    model = family.model(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def run(steps: int) -> float:
        began = time.perf_counter()
        for step in range(steps):
            encode()
            batch = batches[step % len(batches)].to(DEVICE)
            torch.autograd.backward(family.loss(model, batch).total / batch.counted)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    return run


def encoding(folder: str) -> Callable[[], None]:
    """What a loop does first that has sound and no codes: it encodes a batch."""
    codec = load_codec(open_storage(folder)).to(DEVICE)
    sound = 0.1 * torch.randn(ROWS, 1, FRAMES * HOP, device=DEVICE)

    def encode() -> None:
        codec.encode(sound)

    return encode


def peer(batches: list[MusicGenBatch], family: MusicGenFamily) -> Round:
    """transformers' Trainer with its own model of the same sizes and the same settings, on the same codes."""
    complete = family._make().complete
    set_dropout(complete, 0.0)
    complete.audio_encoder.requires_grad_(False)
    longest = max(batch.text.shape[1] for batch in batches)
    rows: list[dict[str, Tensor]] = []
    for batch in batches:
        texts = torch.nn.functional.pad(batch.text, (0, longest - batch.text.shape[1]))
        for text, labels in zip(texts, batch.labels, strict=True):
            rows.append({"input_ids": text, "attention_mask": (text > 0).long(), "labels": labels.T})

    def run(steps: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            trainer = transformers.Trainer(
                model=complete,
                train_dataset=rows * (steps * ROWS // len(rows) + 1),
                args=transformers.TrainingArguments(
                    output_dir=folder,
                    max_steps=steps,
                    per_device_train_batch_size=ROWS,
                    learning_rate=1e-3,
                    use_cpu=DEVICE.type == "cpu",
                    report_to=[],
                    save_strategy="no",
                    logging_steps=10,
                    disable_tqdm=True,
                    dataloader_pin_memory=False,
                ),
            )
            return float(trainer.train().metrics["train_runtime"])

    return run


def main() -> None:
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        source = codes(folder)
        family = _WithoutValidation(job(1), source)
        batches = [family.batch(range(n * ROWS, (n + 1) * ROWS)) for n in range(7)]
        contenders = {
            "ours": ours(source),
            "bare": bare(batches, family),
            "peer": peer(batches, family),
            "encoding": bare(batches, family, encoding(folder)),
        }
        for run in contenders.values():
            run(2)
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, run in contenders.items():
                seconds[name].append(run(STEPS))
    speed = {name: STEPS * ROWS * FRAMES * CODEBOOKS / statistics.median(times) for name, times in seconds.items()}
    ratios = {f"ratio.{name}": speed["ours"] / speed[name] for name in ("bare", "peer", "encoding")}
    print(json.dumps({**{f"codes_per_second.{name}": value for name, value in speed.items()}, **ratios}))


if __name__ == "__main__":
    main()
