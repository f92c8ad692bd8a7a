"""Two processes, then one, then two again over the same output: the same curve, and every example once an epoch.

Real processes, with torchrun, as a job on a cluster that loses a node and gets it back. Steps that were taken after the
last checkpoint are taken again; what counts is who took them last.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from mtj_api.spec import MidiPreparation
from support import trained_together
from support.prepared import chorales, prepare_scores

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]

STEPS, SIZE = 24, 8
LOST, BACK = 13, 20
"""Steps after which a process is lost, without a word, and after which it is asked to stop, as there is room again."""

NEVER = 10**9
BY_TORCH = "nodes: 2\n    minNodes: 1\n    regularization: {dropout: 0.0}"
ENGINES = {
    "ddp": BY_TORCH,
    "FSDP": f"{BY_TORCH}\n    engine: fsdp",
    "ZeRO 2": f"{BY_TORCH}\n    engine: deepspeed\n    deepspeed: {{zeroStage: 2}}",
    "ZeRO 3": f"{BY_TORCH}\n    engine: deepspeed\n    deepspeed: {{zeroStage: 3}}",
}
UNEVEN = "nodes: 4\n    minNodes: 1\n    regularization: {dropout: 0.0}"
"""Of four nodes, three remain: each has two or three of 8 examples, in three passes of at most one."""

Run = Callable[..., None]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    midi = MidiPreparation(tokenizer="grid", steps_per_beat=4)
    return prepare_scores(tmp_path_factory.mktemp("prepared"), chorales(), midi)


def together(processes: int, dataset: str, *runs: dict[str, object]) -> None:
    """Let so many processes train these, one after the other."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    asked = [{"dataset": dataset, "precision": "fp32", "stop_after": NEVER, **run} for run in runs]
    done = subprocess.run(
        [*launch, trained_together.__file__, json.dumps(asked)],
        env=os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, dataset: str) -> Path:
    """All runs: undisturbed ones, and those that lose a process and get it back."""
    folder = tmp_path_factory.mktemp("elastic")

    def runs(suffix: str, **parts: object) -> list[dict[str, object]]:
        return [
            {"folder": str(folder / f"{name}{suffix}"), "training": text, **parts} for name, text in ENGINES.items()
        ]

    together(2, dataset, *runs(""), *runs(", elastic", lose_after=LOST))
    together(1, dataset, *runs(", elastic", stop_after=BACK))
    together(2, dataset, *runs(", elastic"))
    together(3, dataset, {"folder": str(folder / "uneven"), "training": UNEVEN})
    return folder


def losses(folder: Path) -> list[float]:
    """Every logged training and validation loss."""
    rows = json.loads((folder / "rows.json").read_text())
    return [row["loss"] if "loss" in row else row["validation_loss"] for row in rows]


def taken(folder: Path) -> dict[int, list[list[int]]]:
    """By step, the examples of each pass that counted, of whoever took the step last."""
    steps: dict[int, list[list[int]]] = {}
    for began in sorted({int(file.stem.split("-")[1]) for file in folder.glob("taken-*.json")}):
        by_run: dict[int, list[list[int]]] = {}
        for file in folder.glob(f"taken-{began}-*.json"):
            for step, passes in json.loads(file.read_text()).items():
                by_run.setdefault(int(step), []).extend(passes)
        steps |= by_run
    return steps


@pytest.mark.parametrize("engine", ENGINES)
def test_the_curve_is_that_of_a_run_that_lost_nothing(folder: Path, engine: str) -> None:
    elastic, undisturbed = losses(folder / f"{engine}, elastic"), losses(folder / engine)
    assert elastic == pytest.approx(undisturbed, abs=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_example_counts_once_in_the_order_of_the_stream(folder: Path, engine: str) -> None:
    steps = taken(folder / f"{engine}, elastic")
    assert sorted(steps) == list(range(STEPS))
    seen = [sorted(chain.from_iterable(steps[step])) for step in range(STEPS)]
    assert seen == [list(range(step * SIZE, (step + 1) * SIZE)) for step in range(STEPS)]
    longest = {max(len(positions) for positions in passes) for passes in steps.values()}
    assert longest == {2}, "no pass is larger than with all processes"


def test_examples_that_cannot_be_shared_evenly_count_alike(folder: Path) -> None:
    assert losses(folder / "uneven") == pytest.approx(losses(folder / "ddp"), abs=1e-4)
