"""What training is estimated to take of a machine's memory, beside what it takes, by family, strategy and engine.

Run ``python tests/scale/memory.py``: each case trains three steps in processes of its own, validates and saves a
checkpoint. Their peak is the resident memory as the system counts it, or with a GPU what lies on that. Prints one JSON
object: MiB estimated and measured, their ratio, and how far the worst of them is from 1.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from mtj_api.estimate import process_memory
from mtj_operator.cli.started import started_sizes

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.measured import job_of, peak_bytes, prepare_once

STEPS = 3
TRAINING = {"steps": STEPS, "precision": "fp32"}

DATA = {"split": {"train": 0.8, "validation": 0.1, "test": 0.1, "keepTogether": []}}
SOUND = {**DATA, "modalities": ["audio"], "audio": {"sampleRate": 16_000, "channels": 1}}

Spec = dict[str, Any]
"""Parts of a job's spec."""


def symbolic(layers: int, width: int, heads: int, context: int, **training: Any) -> Spec:
    sizes = {"layers": layers, "width": width, "heads": heads, "context": context}
    notes = {**DATA, "modalities": ["midi"], "midi": {"tokenizer": "grid"}}
    return {"dataset": notes, "model": {"architecture": sizes}, "training": training}


def codec(architecture: Mapping[str, Any], **training: Any) -> Spec:
    return {"dataset": SOUND, "model": {"family": "codec", "codecArchitecture": architecture}, "training": training}


def musicgen(layers: int, width: int, heads: int, context: int, **training: Any) -> Spec:
    sizes = {"layers": layers, "width": width, "heads": heads, "context": context}
    model = {"family": "musicgen", "codec": {"url": "FOLDER/codec"}, "architecture": sizes}
    return {"dataset": SOUND, "model": model, "training": training}


def pretrained(strategy: str, **training: Any) -> Spec:
    model = {"family": "musicgen", "pretrained": "FOLDER/model"}
    return {"dataset": SOUND, "model": model, "training": {"strategy": strategy, **training}}


def zero(stage: int) -> dict[str, Any]:
    return {"engine": "deepspeed", "deepspeed": {"zeroStage": stage}}


BATCH, TWO = {"size": 8}, {"batch": {"size": 8}, "processesPerNode": 2}
ADVERSARIAL = {"losses": {"adversarial": 1.0, "featureMatching": 1.0}}
ON_CPU: dict[str, Spec] = {
    "symbolic": symbolic(4, 192, 6, 512, batch=BATCH),
    "symbolic bf16": symbolic(4, 192, 6, 512, batch={"size": 16}, precision="bf16"),
    "symbolic wide": symbolic(8, 512, 8, 512, batch={"size": 2}),
    "symbolic recomputed": symbolic(8, 128, 2, 256, batch={"size": 32}, activationCheckpointing=True),
    "symbolic on two": symbolic(4, 512, 8, 64, **TWO),
    **{f"symbolic ZeRO {stage}": symbolic(4, 512, 8, 64, **TWO, **zero(stage)) for stage in (1, 2, 3)},
    "codec": codec({}, batch={"size": 6}),
    "codec bf16": codec({}, batch={"size": 6}, precision="bf16"),
    "codec adversarial": codec({}, batch={"size": 4}, **ADVERSARIAL),
    "musicgen": musicgen(6, 128, 4, 256, batch=BATCH),
    "musicgen bf16": musicgen(6, 128, 4, 256, batch=BATCH, precision="bf16"),
    "finetune": pretrained("finetune", batch={"size": 4}),
    "lora": pretrained("lora", batch={"size": 4}),
    "dora": pretrained("dora", batch={"size": 4}),
    "ia3": pretrained("ia3", batch={"size": 4}),
    "adapter": pretrained("adapter", batch={"size": 4}),
    "prompt": pretrained("prompt", batch={"size": 4}),
    "selective": pretrained("selective", selective={"lastBlocks": 2}, batch={"size": 4}),
}

SMALL = (24, 1024, 16, 500)
"""MusicGen small."""
MANY = {"batch": {"size": 32}}
ON_GPU: dict[str, Spec] = {
    "symbolic": symbolic(12, 768, 12, 1024, **MANY),
    "symbolic bf16": symbolic(12, 768, 12, 1024, **MANY, precision="bf16"),
    "symbolic recomputed": symbolic(12, 768, 12, 1024, **MANY, activationCheckpointing=True),
    "codec": codec({"encoderWidth": 64, "decoderWidth": 1536}, batch={"size": 8}),
    "codec adversarial": codec({"encoderWidth": 64, "decoderWidth": 1536}, batch={"size": 8}, **ADVERSARIAL),
    "musicgen": musicgen(*SMALL, batch=BATCH),
    "musicgen bf16": musicgen(*SMALL, batch=BATCH, precision="bf16"),
    "musicgen recomputed": musicgen(*SMALL, batch=BATCH, activationCheckpointing=True),
    "finetune": pretrained("finetune", **MANY),
    "lora": pretrained("lora", **MANY),
    "lora bf16": pretrained("lora", **MANY, precision="bf16"),
    "dora": pretrained("dora", **MANY),
    "adapter": pretrained("adapter", **MANY),
    "prompt": pretrained("prompt", **MANY),
}


def main(names: list[str]) -> None:
    gpu = torch.cuda.is_available()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        prepared: set[Path] = set()
        for name, spec in (ON_GPU if gpu else ON_CPU).items():
            if not names or name in names:
                figures[name] = dict(_measured(Path(folder), spec, prepared, gpu=gpu))
                print(name, figures[name], file=sys.stderr)
    figures["farthest_from_1"] = max(abs(figure["ratio"] - 1) for figure in figures.values())
    print(json.dumps(figures))


def _measured(folder: Path, spec: Spec, prepared: set[Path], *, gpu: bool) -> Iterator[tuple[str, float]]:
    kind = "pretrained" if "pretrained" in spec["model"] else spec["model"].get("family", "symbolic")
    folder = folder / kind
    folder.mkdir(exist_ok=True)
    text = json.dumps({**deepcopy(spec), "training": {**TRAINING, **spec["training"]}}).replace("FOLDER", str(folder))
    job = job_of(folder, {**json.loads(text), "evaluation": {"everySteps": STEPS}})
    assert job.spec.training is not None
    if folder not in prepared:
        prepare_once(folder, job)
        prepared.add(folder)
    processes = job.spec.training.processes_per_node
    estimate = process_memory(job.spec, processes, started_sizes(job), gpu=gpu)
    assert estimate is not None
    measured = peak_bytes(job, processes, gpu=gpu)
    yield "estimated_mib", estimate.total / 2**20
    yield "measured_mib", measured / 2**20
    yield "ratio", estimate.total / measured


if __name__ == "__main__":
    main(sys.argv[1:])
