"""What LoRA on a frozen MusicGen costs: beside fine-tuning all of it, and beside peft in a bare loop.

Run ``python tests/scale/adaptation.py``: rounds of every contender in turn within one process, so that all of them meet
the same machine; medians of the rounds are compared. Memory is of one contender a process: the most that it has held
while training over what it held before. Prints one JSON object.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import psutil
import torch
import transformers

from mtj_api import MusicTrainingJob, parse_job
from mtj_api.spec.model import Architecture
from mtj_trainer.adaptation import MUSICGEN
from mtj_trainer.families.musicgen.batch import MusicGenBatch
from mtj_trainer.families.musicgen.family import MusicGenFamily
from mtj_trainer.families.musicgen.published import load_merged
from mtj_trainer.families.musicgen.scratch import from_scratch
from mtj_trainer.families.musicgen.weights import save_model
from mtj_trainer.storage import open_storage
from mtj_trainer.train.checkpoint import CheckpointFolder
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from mtj_trainer.train.precision import usual_device

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.musicgen import encodec
from support.musicgen_codes import MemoryCodes

ROWS, FRAMES, RANK = 4, 250, 8
SIZES = Architecture(layers=6, width=512, heads=8, context=FRAMES)
"""25 million weights in the decoder's blocks."""
ROUNDS, MEASURED_STEPS = 5, 3
LENGTHS = [FRAMES] * 66
NEVER = 10**9
DEVICE = usual_device()
STEPS = 6 if DEVICE.type == "cpu" else 60

JOB = f"""
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: bench}}
spec:
  dataset: {{prepared: ./unused}}
  model: {{family: musicgen, pretrained: PRETRAINED}}
  training:
    strategy: STRATEGY
    batch: {{size: {ROWS}}}
    steps: STEPS
    precision: fp32
    peft: {{rank: {RANK}}}
    regularization: {{dropout: 0.0}}
  monitoring: {{metricsPort: 0}}
  output: ./unused
"""

Round = Callable[[int], float]
"""Trains so many steps and returns the seconds that they took, without any set-up."""


class _WithoutValidation(MusicGenFamily):
    """The last step of a run validates; a benchmark of steps leaves that out."""

    def validation(self, rank: int, world: int) -> Any:
        return iter(())


def write_pretrained(folder: str) -> None:
    """A model to go on from."""
    save_model(open_storage(folder), from_scratch(SIZES, encodec(), ["a calm chorale in G major"]))


def job(folder: str, strategy: str, steps: int) -> MusicTrainingJob:
    return parse_job(JOB.replace("PRETRAINED", folder).replace("STRATEGY", strategy).replace("STEPS", str(steps))).job


def ours(folder: str, codes: Any, strategy: str) -> Round:
    """The product's own loop, with everything that it does."""

    def run(steps: int) -> float:
        resolved = job(folder, strategy, steps)
        assert resolved.spec.training is not None
        with tempfile.TemporaryDirectory() as output_folder:
            output = open_storage(output_folder)
            trainer = Trainer(
                _WithoutValidation(resolved, codes),
                resolved.spec.training,
                World(0, 0, 1, DEVICE),
                CheckpointFolder(output.child("checkpoints"), 2),
                lambda _weights: None,
                Observer(TrainingMetrics("bench", 0, 0, 0), Curves(output, output.child("checkpoints"), 0), None),
                Intervals(10, NEVER, NEVER),
                lambda: False,
            )
            forget_most_held()
            began = time.perf_counter()
            trainer.run()
            return time.perf_counter() - began

    return run


def bare(folder: str, codes: Any) -> Round:
    """peft's own model of the same training module: forward, backward, step on batches that lie ready."""
    family = _WithoutValidation(job(folder, "lora", 1), codes)
    batches: list[MusicGenBatch] = [family.batch(range(n * ROWS, (n + 1) * ROWS)) for n in range(8)]
    config = peft.LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=MUSICGEN.pattern(MUSICGEN.low_rank))
    model = peft.get_peft_model(load_merged(folder).step(), config).train().to(DEVICE)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-4, fused=True)

    def run(steps: int) -> float:
        forget_most_held()
        began = time.perf_counter()
        for step in range(steps):
            batch = batches[step % len(batches)].to(DEVICE)
            torch.autograd.backward(family.loss(model, batch).total / batch.counted)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    return run


def contenders(folder: str, codes: Any) -> dict[str, Callable[[], Round]]:
    return {
        "lora": lambda: ours(folder, codes, "lora"),
        "finetune": lambda: ours(folder, codes, "finetune"),
        "bare_peft": lambda: bare(folder, codes),
    }


def held(name: str, folder: str) -> float:
    """MiB that training holds at its peak, beyond what this process holds before it has a model; or on a GPU."""
    codes = MemoryCodes(LENGTHS)
    if DEVICE.type == "cuda":
        contenders(folder, codes)[name]()(MEASURED_STEPS)
        return torch.cuda.max_memory_allocated() / 2**20
    before = psutil.Process().memory_info().rss / 2**20
    contenders(folder, codes)[name]()(MEASURED_STEPS)
    return most_held() - before


def forget_most_held() -> None:
    """Loading a model may hold more than training it; see proc_pid_clear_refs(5)."""
    Path("/proc/self/clear_refs").write_text("5")


def most_held() -> float:
    """MiB, since ``forget_most_held``."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def measured_memory(name: str, folder: str) -> float:
    command = [sys.executable, __file__, name, folder]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def main() -> None:
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        write_pretrained(folder)
        runs = {name: make() for name, make in contenders(folder, MemoryCodes(LENGTHS)).items()}
        for run in runs.values():
            run(1)
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                seconds[name].append(run(STEPS) / STEPS)
        peak = {name: measured_memory(name, folder) for name in runs}
    step = {name: statistics.median(times) for name, times in seconds.items()}
    result = {
        "step_seconds": step,
        "peak_mib": peak,
        "ratio.bare_peft": step["bare_peft"] / step["lora"],
        "ratio.finetune": step["finetune"] / step["lora"],
        "memory_ratio.bare_peft": peak["lora"] / peak["bare_peft"],
        "memory_ratio.finetune": peak["lora"] / peak["finetune"],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(held(*sys.argv[1:]))
    else:
        main()
