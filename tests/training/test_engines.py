"""Every engine takes the same steps, and goes on from what any other has saved, on two real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from mtj_api.spec import MidiPreparation
from support import trained_together
from support.prepared import chorales, prepare_scores

pytestmark = pytest.mark.slow

STOP, NEVER = 13, 10**9


def zero(stage: int, **settings: str) -> str:
    fields = ", ".join(f"{name}: {value}" for name, value in {"zeroStage": stage, **settings}.items())
    return f"engine: deepspeed\n    deepspeed: {{{fields}}}"


UNDISTURBED = {
    "ddp": "",
    "ZeRO 0": zero(0),
    "ZeRO 1": zero(1),
    "ZeRO 2": zero(2),
    "ZeRO 3": zero(3),
    "ZeRO 2, optimizer in the machine's memory": zero(2, offload="optimizer"),
}
STOPPED = {
    "ZeRO 2, stopped": (zero(2), zero(2)),
    "ZeRO 3, stopped": (zero(3), zero(3)),
    "from ddp to ZeRO 3": ("", zero(3)),
    "from ZeRO 3 to ddp": (zero(3), ""),
    "from ZeRO 1 to ZeRO 2": (zero(1), zero(2)),
}


@dataclass(frozen=True)
class Trained:
    """What a run of two processes has left in its folder."""

    folder: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads((self.folder / "rows.json").read_text())
        return rows

    @property
    def losses(self) -> list[float]:
        """Every logged training and validation loss."""
        return [row["loss"] if "loss" in row else row["validation_loss"] for row in self.rows]

    @property
    def norms(self) -> list[float]:
        return [row["gradient_norm"] for row in self.rows if "gradient_norm" in row]

    @property
    def best(self) -> dict[str, Tensor]:
        return load_file(self.folder / "best/model.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all runs, made by one start of two processes."""
    folder = tmp_path_factory.mktemp("engines")
    midi = MidiPreparation(tokenizer="grid", steps_per_beat=4)
    dataset = prepare_scores(folder / "prepared", chorales(), midi)

    def run(name: str, training: str, stop_after: int = NEVER, precision: str = "fp32") -> dict[str, object]:
        settings = {"training": training, "precision": precision, "stop_after": stop_after}
        return {"folder": str(folder / name), "dataset": dataset, **settings}

    runs = [run(name, training) for name, training in UNDISTURBED.items()]
    for name, (first, then) in STOPPED.items():
        runs += [run(name, first, STOP), run(name, then)]
    runs += [run("ddp, bf16", "", precision="bf16"), run("ZeRO 3, bf16", zero(3), precision="bf16")]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, trained_together.__file__, json.dumps(runs)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    strange = [line for line in (done.stdout + done.stderr).splitlines() if line and not line.startswith("train ")]
    assert strange == [], "a user sees the progress, and nothing of what an engine has to say about itself"
    return folder


@pytest.mark.parametrize("name", [name for name in UNDISTURBED if name != "ddp"])
def test_zero_takes_the_steps_of_ddp(folder: Path, name: str) -> None:
    run, ddp = Trained(folder / name), Trained(folder / "ddp")
    assert run.losses == pytest.approx(ddp.losses, abs=1e-5)
    assert run.norms == pytest.approx(ddp.norms, rel=1e-3)


def test_zero_computes_in_half_precision_what_ddp_does(folder: Path) -> None:
    run, ddp = Trained(folder / "ZeRO 3, bf16"), Trained(folder / "ddp, bf16")
    assert run.losses == pytest.approx(ddp.losses, abs=1e-2)
    assert run.losses != Trained(folder / "ZeRO 3").losses


@pytest.mark.parametrize("stage", [2, 3])
def test_a_stopped_run_goes_on_bit_for_bit(folder: Path, stage: int) -> None:
    assert Trained(folder / f"ZeRO {stage}, stopped").losses == Trained(folder / f"ZeRO {stage}").losses


@pytest.mark.parametrize("name", [name for name in STOPPED if name.startswith("from ")])
def test_a_run_goes_on_with_another_engine(folder: Path, name: str) -> None:
    assert Trained(folder / name).losses == pytest.approx(Trained(folder / "ddp").losses, abs=1e-5)


@pytest.mark.parametrize("stage", [2, 3])
def test_what_zero_publishes_is_the_whole_model(folder: Path, stage: int) -> None:
    zero, ddp = Trained(folder / f"ZeRO {stage}").best, Trained(folder / "ddp").best
    assert {name: tensor.shape for name, tensor in zero.items()} == {name: t.shape for name, t in ddp.items()}
    for name, tensor in zero.items():
        assert tensor.sub(ddp[name]).abs().max() < 1e-4, name
