"""GPU series, read by the real nvidia-ml-py from a stand-in for the driver's library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mtj_trainer.train.gpu import visible_device
from support.ports import free_ports

_SERVE_AND_SCRAPE = """
import sys, urllib.request
from mtj_trainer.train.metrics import TrainingMetrics
local_rank, port = int(sys.argv[1]), int(sys.argv[2])
metrics = TrainingMetrics("chorales", 7, local_rank, port, host="127.0.0.1")
for _ in range(2):
    text = urllib.request.urlopen(f"http://127.0.0.1:{port + local_rank}/metrics", timeout=10).read().decode()
metrics.close()
print(text)
"""

FIGURES = ("utilization_ratio", "memory_used_bytes", "memory_total_bytes", "power_watts", "power_limit_watts")


def gpu_series(folder: Path, local_rank: int = 0, **environment: str) -> dict[str, tuple[dict[str, str], float]]:
    """The GPU series of one training process, by the part of their names after ``mtj_gpu_``."""
    command = [sys.executable, "-c", _SERVE_AND_SCRAPE, str(local_rank), str(free_ports(1)[0])]
    inherited = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    environment = {**inherited, "LD_LIBRARY_PATH": str(folder), **environment}
    scraped = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert scraped.stderr == ""
    samples = [sample for family in text_string_to_metric_families(scraped.stdout) for sample in family.samples]
    assert "mtj_train_checkpoint_seconds_total" in {sample.name for sample in samples}
    return {
        sample.name.removeprefix("mtj_gpu_"): (dict(sample.labels), sample.value)
        for sample in samples
        if sample.name.startswith("mtj_gpu_")
    }


@pytest.mark.parametrize("index", [0, 1])
def test_each_process_tells_of_its_own_gpu(nvml_library: Path, index: int) -> None:
    labels = {
        "job": "chorales",
        "rank": "7",
        "gpu": str(index),
        "uuid": f"GPU-5eed000{index}-0000-0000-0000-000000000000",
    }
    assert gpu_series(nvml_library, index) == {
        "utilization_ratio": (labels, (37 + index) / 100),
        "memory_used_bytes": (labels, float((3 + index) << 30)),
        "memory_total_bytes": (labels, float(80 << 30)),
        "power_watts": (labels, 250.5),
        "power_limit_watts": (labels, 700.0),
    }


@pytest.mark.parametrize("visible", ["1,0", "GPU-5eed0001-0000-0000-0000-000000000000"])
def test_the_gpu_is_the_one_that_cuda_gives(nvml_library: Path, visible: str) -> None:
    series = gpu_series(nvml_library, CUDA_VISIBLE_DEVICES=visible)
    assert [labels["gpu"] for labels, _ in series.values()] == ["1"] * 5


@pytest.mark.parametrize(
    ("local_rank", "environment"),
    [
        pytest.param(0, {"LD_LIBRARY_PATH": ""}, id="no library"),
        pytest.param(0, {"NVML_GPUS": "none"}, id="no driver"),
        pytest.param(0, {"NVML_GPUS": "0"}, id="no GPU"),
        pytest.param(2, {}, id="more processes than GPUs"),
        pytest.param(1, {"NVML_FAILING": "handle=1"}, id="a lost GPU"),
        pytest.param(0, {"CUDA_VISIBLE_DEVICES": ""}, id="hidden from CUDA"),
        pytest.param(0, {"CUDA_VISIBLE_DEVICES": "GPU-unknown"}, id="an unknown UUID"),
    ],
)
def test_without_a_gpu_there_are_no_series(nvml_library: Path, local_rank: int, environment: dict[str, str]) -> None:
    if environment.get("LD_LIBRARY_PATH") == "" and Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    assert gpu_series(nvml_library, local_rank, **environment) == {}


@pytest.mark.parametrize(
    ("failing", "left"),
    [
        ("power=0,limit=0", FIGURES[:3]),
        ("utilization=0,power=0,limit=0", FIGURES[1:3]),
        ("memory=0", (FIGURES[0], *FIGURES[3:])),
        ("memory=1,power=1", FIGURES),
    ],
)
def test_a_figure_that_cannot_be_read_is_left_out(nvml_library: Path, failing: str, left: tuple[str, ...]) -> None:
    assert tuple(gpu_series(nvml_library, NVML_FAILING=failing)) == left


@pytest.mark.parametrize(
    ("visible", "local_rank", "device"),
    [
        (None, 0, "0"),
        (None, 3, "3"),
        ("2,3", 0, "2"),
        ("2, 3", 1, "3"),
        ("2,3", 2, None),
        ("", 0, None),
        ("-1", 0, None),
        ("GPU-1a2b", 0, "GPU-1a2b"),
    ],
)
def test_which_gpu_cuda_gives(visible: str | None, local_rank: int, device: str | None) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert visible_device(local_rank, environment) == device
