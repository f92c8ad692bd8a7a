"""Every engine takes the same steps, and goes on from what any other has saved, on two real processes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
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

TESTS = Path(__file__).parents[1]

STOP, NEVER = 13, 10**9


def zero(stage: int, **settings: str) -> str:
    fields = ", ".join(f"{name}: {value}" for name, value in {"zeroStage": stage, **settings}.items())
    return f"engine: deepspeed\n    deepspeed: {{{fields}}}"


FSDP = "engine: fsdp"

UNDISTURBED = {
    "ddp": "",
    "FSDP": FSDP,
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
    "FSDP, stopped": (FSDP, FSDP),
    "from ddp to FSDP": ("", FSDP),
    "from FSDP to ddp": (FSDP, ""),
    "from FSDP to ZeRO 3": (FSDP, zero(3)),
    "from ZeRO 2 to FSDP": (zero(2), FSDP),
}
DIVIDES_ALL = ("ZeRO 3", "FSDP")
POISONED = {
    "a gradient that is no number": ((5,), "gradient nan"),
    "a gradient that is infinite": ((5,), "gradient inf"),
    "a loss that spikes": ((13,), "loss spike"),
    "a gradient that spikes": ((13,), "gradient spike"),
    "a return to a checkpoint": ((9, 12, 13), "loss nan"),
}
"""Steps that are bad, and how."""

ENGINES = {"ddp": "", "FSDP": FSDP, **{f"ZeRO {stage}": zero(stage) for stage in range(4)}}
ENGINES["ZeRO 2, offload"] = zero(2, offload="optimizer")


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
    def histories(self) -> list[dict[str, Any]]:
        """What each process remembers of its steps."""
        return [json.loads((self.folder / f"history{rank}.json").read_text()) for rank in range(2)]

    @property
    def best(self) -> dict[str, Tensor]:
        return load_file(self.folder / "best/model.safetensors")


Run = dict[str, Any]


class Together:
    """Runs of two processes in a folder.

    Args:
        folder: of all of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        midi = MidiPreparation(tokenizer="grid", steps_per_beat=4)
        self._dataset = prepare_scores(folder / "prepared", chorales(), midi)

    def run(self, name: str, training: str, stop_after: int = NEVER, precision: str = "fp32", **more: Any) -> Run:
        """What ``start`` takes."""
        settings = {"training": training, "precision": precision, "stop_after": stop_after}
        return {"folder": str(self.folder / name), "dataset": self._dataset, **settings, **more}

    def start(self, runs: Sequence[Run]) -> Path:
        """Make all of them by one start of two processes; the folder."""
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        done = subprocess.run(
            [*launch, trained_together.__file__, json.dumps(runs)],
            env=os.environ | {"PYTHONPATH": f"{TESTS}:{os.environ.get('PYTHONPATH', '')}", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said = (done.stdout + done.stderr).splitlines()
        strange = [line for line in said if line and not line.startswith("train ")]
        assert strange == [], "a user sees the progress, and nothing of what an engine has to say about itself"
        return self.folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all runs in which every step is good."""
    together = Together(tmp_path_factory.mktemp("engines"))
    run = together.run
    runs = [run(name, training) for name, training in UNDISTURBED.items()]
    for name, (first, then) in STOPPED.items():
        runs += [run(name, first, STOP), run(name, then)]
    for name in ("ddp", *DIVIDES_ALL):
        runs.append(run(f"{name}, bf16", UNDISTURBED[name], precision="bf16"))
    return together.start(runs)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all runs that have bad steps."""
    together = Together(tmp_path_factory.mktemp("poisoned"))
    runs = []
    for name, (steps, kind) in POISONED.items():
        for engine, training in ENGINES.items():
            lines = f"badSteps: {{rollBackAfter: 3}}\n    {training}"
            runs.append(together.run(f"{name}, {engine}", lines, poisoned=steps, kind=kind, least=5))
    return together.start(runs)


@pytest.mark.parametrize("name", [name for name in UNDISTURBED if name != "ddp"])
def test_every_engine_takes_the_steps_of_ddp(folder: Path, name: str) -> None:
    run, ddp = Trained(folder / name), Trained(folder / "ddp")
    assert run.losses == pytest.approx(ddp.losses, abs=1e-5)
    assert run.norms == pytest.approx(ddp.norms, rel=1e-3)


@pytest.mark.parametrize("name", DIVIDES_ALL)
def test_what_is_divided_is_computed_in_half_precision_as_ddp_does(folder: Path, name: str) -> None:
    run, ddp = Trained(folder / f"{name}, bf16"), Trained(folder / "ddp, bf16")
    assert run.losses == pytest.approx(ddp.losses, abs=1e-2)
    assert run.losses != Trained(folder / name).losses


@pytest.mark.parametrize("name", ["ZeRO 2", *DIVIDES_ALL])
def test_a_stopped_run_goes_on_bit_for_bit(folder: Path, name: str) -> None:
    assert Trained(folder / f"{name}, stopped").losses == Trained(folder / name).losses


@pytest.mark.parametrize("name", [name for name in STOPPED if name.startswith("from ")])
def test_a_run_goes_on_with_another_engine(folder: Path, name: str) -> None:
    assert Trained(folder / name).losses == pytest.approx(Trained(folder / "ddp").losses, abs=1e-5)


@pytest.mark.parametrize("name", ["ZeRO 2", *DIVIDES_ALL])
def test_what_is_published_is_the_whole_model(folder: Path, name: str) -> None:
    found, ddp = Trained(folder / name).best, Trained(folder / "ddp").best
    assert {key: tensor.shape for key, tensor in found.items()} == {key: t.shape for key, t in ddp.items()}
    for key, tensor in found.items():
        assert tensor.sub(ddp[key]).abs().max() < 1e-4, key


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", POISONED)
def test_every_engine_leaves_out_the_same_bad_steps(poisoned: Path, name: str, engine: str) -> None:
    run, ddp = Trained(poisoned / f"{name}, {engine}"), Trained(poisoned / f"{name}, ddp")
    one, other = run.histories
    assert one == other, "the processes agree"
    counted = ("position", "not_finite", "spikes", "rollbacks", "recent", "last_was_good")
    assert {name: one[name] for name in counted} == {name: ddp.histories[0][name] for name in counted}
    assert one["not_finite"] + one["spikes"] == len(POISONED[name][0])
    assert one["rollbacks"] == (1 if name == "a return to a checkpoint" else 0)
    assert run.losses == pytest.approx(ddp.losses, abs=1e-5)
    assert all(map(math.isfinite, run.losses))
