"""For how long GPUs have been idle: by any bound, by a clock that is given, and read by the real nvidia-ml-py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtj_trainer.train.idle import IdleTimes, IdleWatch

Samples = list[tuple[float, dict[str, int]]]


@pytest.mark.parametrize(
    ("samples", "below", "expected"),
    [
        pytest.param([], 10, None, id="never sampled"),
        pytest.param([(0, {})], 10, None, id="no GPU"),
        pytest.param([(0, {"a": 0})], 10, 100, id="idle from the beginning"),
        pytest.param([(0, {"a": 90}), (40, {"a": 0})], 10, 100, id="used once, and not since"),
        pytest.param([(0, {"a": 90}), (40, {"a": 10}), (50, {"a": 9})], 10, 60, id="the bound itself is use"),
        pytest.param([(0, {"a": 0}), (100, {"a": 100})], 100, 0, id="used now, up to the largest bound"),
        pytest.param([(0, {"a": 90}), (40, {"a": 50}), (60, {"a": 20})], 50, 60, id="each bound has a time of its own"),
        pytest.param([(0, {"a": 90, "b": 90}), (80, {"b": 90})], 10, 20, id="one that stopped telling is not idle"),
        pytest.param([(0, {"a": 90, "b": 0}), (90, {"a": 90, "b": 0})], 10, 100, id="one idle GPU among others"),
        pytest.param([(0, {}), (70, {"a": 0})], 10, 30, id="no longer than it is watched"),
    ],
)
def test_how_long_a_gpu_has_been_idle_after_100_seconds(samples: Samples, below: int, expected: float | None) -> None:
    times = IdleTimes()
    for now, percents in samples:
        times.sample(now, percents)
    assert times.seconds(below, 100) == expected


def test_samples_are_taken_until_it_is_closed() -> None:
    now, last, release = [0.0], threading.Event(), threading.Event()

    def script() -> Iterator[dict[str, int]]:
        yield {"gpu": 80}
        now[0] = 60.0
        yield {"gpu": 3}
        last.set()
        release.wait(30)
        yield {"gpu": 3}

    watch = IdleWatch(script().__next__, every=0.0, clock=lambda: now[0])
    assert last.wait(30)
    assert (watch.seconds(10), watch.seconds(3)) == (60.0, 0.0)
    watch.close()
    release.set()


def test_without_a_gpu_nothing_is_known() -> None:
    assert IdleWatch(dict).seconds(10) is None


_READ = "from mtj_trainer.train.gpu import utilizations; print(list(utilizations().values()))"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, [37, 38], id="all that there are"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "1"}, [38], id="those that CUDA gives"),
        pytest.param({"CUDA_VISIBLE_DEVICES": ""}, [], id="hidden from CUDA"),
        pytest.param({"NVML_FAILING": "handle=0"}, [38], id="a lost GPU"),
        pytest.param({"NVML_FAILING": "utilization=1"}, [37], id="one that does not tell"),
        pytest.param({"NVML_GPUS": "0"}, [], id="no GPU"),
        pytest.param({"NVML_GPUS": "none"}, [], id="no driver"),
    ],
)
def test_what_nvml_tells(nvml_library: Path, environment: dict[str, str], expected: list[int]) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    environment = {**inherited, "LD_LIBRARY_PATH": str(nvml_library), **environment}
    done = subprocess.run([sys.executable, "-c", _READ], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected
