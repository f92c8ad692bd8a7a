"""How much memory a training process takes: small data of each family, and the peak as the system counts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtj_api import MusicTrainingJob, parse_job, resolved_json
from mtj_api.spec.model import MUSICGEN_FAMILIES

ENVIRONMENT = {"OMP_NUM_THREADS": "1"}

PRETRAINED = {"layers": 6, "width": 384, "heads": 6, "context": 384}
LARGER = {"layers": 24, "width": 1024, "heads": 16, "context": 500}
"""Sizes of the model that fine-tuning and adaptations start from: on a CPU, and on a GPU."""

CODEC = {
    "sampling_rate": 16_000,
    "encoder_hidden_size": 8,
    "downsampling_ratios": [2, 4, 5, 8],
    "decoder_hidden_size": 64,
    "n_codebooks": 4,
    "codebook_size": 1024,
    "codebook_dim": 8,
}
"""Of the codec under it: small, as all it does is to make codes."""

WAIT = """
import os, sys
pid = os.spawnve(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""
"""Starts a process from a small one: the system counts what the starter held at the start as the started one's."""

ON_GPU = """
import runpy, sys
import torch
sys.argv = sys.argv[2:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    free, whole = torch.cuda.mem_get_info()
    beside = whole - free - torch.cuda.memory_reserved()
    print(0, (torch.cuda.max_memory_allocated() + beside) >> 10)
"""
"""Runs a module and tells what lay on the GPU at the peak: its tensors, and all that is not PyTorch's to give out."""


def job_of(folder: Path, spec: Mapping[str, Any]) -> MusicTrainingJob:
    """A resolved job with its data and its output below ``folder``."""
    document = {
        "apiVersion": "training.discomusica.io/v1alpha1",
        "kind": "MusicTrainingJob",
        "metadata": {"name": "measured"},
        "spec": {
            **spec,
            "dataset": {"source": f"{folder}/music", "cache": f"{folder}/data", **spec.get("dataset", {})},
            "monitoring": {"metricsPort": 0, "tensorboard": False},
            "output": f"{folder}/out",
        },
    }
    return parse_job(json.dumps(document)).job


def prepare_once(folder: Path, job: MusicTrainingJob) -> None:
    """Make a little music of the job's family and prepare it, in a process of its own."""
    _run_here("prepare", str(_written(folder, job)), str(folder / "music"))


def peak_bytes(job: MusicTrainingJob, processes: int = 1, *, gpu: bool = False) -> int:
    """The largest memory of a training process of a job whose data is prepared: resident, or on a GPU.

    Args:
        job: trains a few steps; its checkpoints are thrown away.
        processes: how many train together, under the launcher; with a GPU only one.
    """
    with tempfile.TemporaryDirectory(prefix="measured-") as name:
        job = job.model_copy(deep=True)
        job.spec.checkpoint.url = f"{name}/checkpoints"
        command = ["-m", "mtj_trainer.train", "--job", str(_written(Path(name), job))]
        if processes > 1:
            command = ["-m", "mtj_trainer.train.launch", "--standalone", "--nproc-per-node", str(processes), *command]
        done = subprocess.run(
            [sys.executable, "-c", ON_GPU if gpu else WAIT, *command],
            env={**os.environ, **ENVIRONMENT, "MTJ_WORK_DIR": name},
            capture_output=True,
            text=True,
            check=True,
        )
    status, kibibytes = (int(word) for word in done.stdout.split()[-2:])
    if status:
        raise RuntimeError(f"training ended with {status}: {done.stderr[-2000:]}")
    return kibibytes << 10


def _written(folder: Path, job: MusicTrainingJob) -> Path:
    path = folder / "job.json"
    path.write_text(resolved_json(job))
    return path


def _run_here(*arguments: str) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "support.measured", *arguments]
    subprocess.run(command, check=True, env={**os.environ, **ENVIRONMENT})


def _prepare(job_file: str, music: str) -> None:
    from mtj_api import read_resolved_job
    from mtj_trainer.prepare.driver import prepare
    from mtj_trainer.storage import open_storage
    from support import music_folder
    from support.pools import HerePool
    from support.scores import chorale, midi_bytes

    job, source = read_resolved_job(Path(job_file)), open_storage(music)
    assert job.spec.model is not None
    for number in range(10):
        if job.spec.model.family == "symbolic":
            source.write(f"{number}.mid", midi_bytes(chorale(bars=80, root=55 + number)))
        else:
            source.write(f"{number}.wav", music_folder.recording(40, rate=16_000, channels=1, seed=number))
    if job.spec.model.family in MUSICGEN_FAMILIES:
        _make_models(job)
    prepare(job, HerePool())


def _make_models(job: MusicTrainingJob) -> None:
    """The codec that a job names, or the whole model that it starts from."""
    import torch
    from transformers import DacConfig, DacModel

    from mtj_api.spec import Architecture
    from mtj_trainer.families.musicgen.scratch import from_scratch
    from mtj_trainer.families.musicgen.weights import save_model
    from mtj_trainer.storage import open_storage

    torch.manual_seed(0)
    model = job.spec.model
    assert model is not None
    codec = DacModel(DacConfig(**CODEC))
    if model.codec is not None and model.codec.url is not None:
        codec.save_pretrained(model.codec.url)
    if model.pretrained is not None:
        sizes = Architecture(**(LARGER if torch.cuda.is_available() else PRETRAINED))
        save_model(open_storage(model.pretrained), from_scratch(sizes, codec, ["a calm chorale"]))


if __name__ == "__main__":
    _prepare(*sys.argv[2:])
