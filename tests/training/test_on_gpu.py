"""What only a GPU can show: a run goes on there from a checkpoint as if nothing had been, and what it holds is seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mtj_api import MusicTrainingJob, resolved_json
from mtj_trainer.train.gpu import GpuCollector
from support.measured import job_of, prepare_once

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU"),
    pytest.mark.timeout(300),
]

SPLIT = {"split": {"train": 0.8, "validation": 0.1, "test": 0.1, "keepTogether": []}}
SOUND = {**SPLIT, "modalities": ["audio"], "audio": {"sampleRate": 16_000, "channels": 1}}
SMALL = {"layers": 2, "width": 128, "heads": 2, "context": 512}
"""Long enough that attention is computed in several blocks, which could be added up in any order."""
FAMILIES: dict[str, dict[str, Any]] = {
    "symbolic": {
        "dataset": {**SPLIT, "modalities": ["midi"], "midi": {"tokenizer": "grid"}},
        "model": {"architecture": SMALL},
    },
    "codec": {"dataset": SOUND, "model": {"family": "codec"}},
    "musicgen": {
        "dataset": SOUND,
        "model": {"family": "musicgen", "codec": {"url": "FOLDER/codec"}, "architecture": SMALL},
    },
}


def train(folder: Path, job: MusicTrainingJob) -> list[dict[str, Any]]:
    """Train to the end with everything below ``folder``; what was logged."""
    job = job.model_copy(deep=True)
    job.spec.output = str(folder / "out")
    job.spec.checkpoint.url = str(folder / "checkpoints")
    folder.mkdir(exist_ok=True)
    (folder / "job.json").write_text(resolved_json(job))
    shutil.copytree(Path(str(job.spec.dataset.cache)).parent / "out/stages", folder / "out/stages", dirs_exist_ok=True)
    command = [sys.executable, "-m", "mtj_trainer.train", "--job", str(folder / "job.json")]
    subprocess.run(command, check=True, env={**os.environ, "MTJ_WORK_DIR": str(folder)})
    lines = (folder / "out/train/metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_that_goes_on_from_a_checkpoint_computes_the_same(family: str, tmp_path: Path) -> None:
    spec = json.loads(json.dumps(FAMILIES[family]).replace("FOLDER", str(tmp_path)))
    spec |= {"training": {"steps": 20, "batch": {"size": 4}}, "checkpoint": {"everySteps": 10, "keep": 2}}
    job = job_of(tmp_path, spec)
    prepare_once(tmp_path, job)
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    undisturbed = train(whole, job)
    (run,) = (path.name for path in (whole / "checkpoints").iterdir())
    shutil.copytree(whole / f"checkpoints/{run}/step-00000010", resumed / f"checkpoints/{run}/step-00000010")
    again = train(resumed, job)
    assert again[-1]["step"] == undisturbed[-1]["step"] == 20
    name = f"checkpoints/{run}/step-00000020/weights.safetensors"
    weights, same = load_file(whole / name), load_file(resumed / name)
    assert all(torch.equal(weights[key], same[key]) for key in weights)
    state = json.loads((whole / f"checkpoints/{run}/step-00000020/state.json").read_text())
    assert state["precision"] == ("fp32" if family == "codec" else "bf16")


def test_memory_of_the_gpu_is_what_its_driver_says() -> None:
    held = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
    found = {metric.name: metric.samples[0].value for metric in GpuCollector("small", 0, "0").collect()}
    assert found["mtj_gpu_memory_used_bytes"] > held.numel()
    assert found["mtj_gpu_memory_total_bytes"] > found["mtj_gpu_memory_used_bytes"]
    assert found["mtj_gpu_power_watts"] > 0
    assert 0 <= found["mtj_gpu_utilization_ratio"] <= 1
