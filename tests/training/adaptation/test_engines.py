"""Every engine adapts a frozen model in the same steps, and goes on from what any other has left, on two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from support import adapted_together
from support.adaptations import STRATEGIES, training
from support.tiny_musicgen import Conditioned, tiny_musicgen

pytestmark = pytest.mark.slow

ENGINES = ("ddp", "FSDP", "ZeRO 2", "ZeRO 3")
STOPPED = (
    ("ddp", "ZeRO 0"),
    ("ZeRO 2", "ZeRO 3"),
    ("ZeRO 3", "ZeRO 1"),
    ("ZeRO 1", "ddp"),
    ("ddp", "FSDP"),
    ("FSDP", "FSDP"),
    ("FSDP", "ZeRO 3"),
)


TESTS = Path(__file__).parents[2]


def settings(strategy: str, engine: str) -> dict[str, Any]:
    chosen = training(strategy).model_dump(exclude_unset=True)
    if engine == "ddp":
        return chosen
    if engine == "FSDP":
        return {**chosen, "engine": "fsdp"}
    return {**chosen, "engine": "deepspeed", "deepspeed": {"zero_stage": int(engine[-1])}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all runs, made by one start of two processes."""
    folder = tmp_path_factory.mktemp("adapted")
    runs = [
        {"name": f"{strategy}, {engine}", "training": settings(strategy, engine)}
        for strategy in STRATEGIES
        for engine in ENGINES
    ]
    runs += [
        {"name": f"{one} to {other}", "training": settings("dora", one), "then": settings("dora", other)}
        for one, other in STOPPED
    ]
    path = f"{TESTS}:{os.environ.get('PYTHONPATH', '')}"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, adapted_together.__file__, str(folder), json.dumps(runs)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout + done.stderr == "", "an engine has nothing to say about weights that are frozen"
    return folder


def losses(folder: Path, name: str) -> list[float]:
    found: list[float] = json.loads((folder / f"{name}.json").read_text())
    return found


def tensors(folder: Path, name: str, kind: str) -> dict[str, Tensor]:
    return load_file(folder / f"{name}.{kind}")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_engine_takes_the_steps_of_ddp_and_leaves_the_frozen_weights(folder: Path, strategy: str) -> None:
    own = Conditioned(tiny_musicgen()).state_dict()
    ddp = f"{strategy}, ddp"
    assert losses(folder, ddp)[0] != losses(folder, ddp)[-1]
    for engine in ENGINES:
        name = f"{strategy}, {engine}"
        assert losses(folder, name) == pytest.approx(losses(folder, ddp), abs=1e-5), engine
        for kind in ("trained", "averaged"):
            found, expected = tensors(folder, name, kind), tensors(folder, ddp, kind)
            assert found.keys() == expected.keys()
            assert all(torch.allclose(found[key], expected[key], atol=1e-4) for key in found), engine
        frozen = tensors(folder, name, "frozen")
        assert frozen.keys().isdisjoint(tensors(folder, name, "trained"))
        assert all(torch.equal(frozen[key], own[key.replace(".base_layer", "")]) for key in frozen), engine


@pytest.mark.parametrize(("one", "other"), STOPPED)
def test_a_run_goes_on_from_what_was_trained_alone(folder: Path, one: str, other: str) -> None:
    assert losses(folder, f"{one} to {other}") == pytest.approx(losses(folder, "dora, ddp"), abs=1e-5)
