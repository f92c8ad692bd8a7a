"""How busy a process keeps its cores, by a clock and a count of processor time that are given."""

from __future__ import annotations

import pytest

from mtj_trainer.train.cpu import CpuCollector, own_cores


class Process:
    """What the kernel says of one."""

    def __init__(self) -> None:
        self.now = 100.0
        self.used = 7.0

    def collector(self, cores: int) -> CpuCollector:
        return CpuCollector("chorales", 1, cores, used=lambda: self.used, clock=lambda: self.now)

    def passes(self, seconds: float, busy: float) -> None:
        self.now += seconds
        self.used += busy


def ratios(collector: CpuCollector) -> list[float]:
    return [sample.value for family in collector.collect() for sample in family.samples]


def test_each_scrape_tells_of_the_time_since_the_one_before() -> None:
    process = Process()
    collector = process.collector(cores=2)
    process.passes(10, busy=15)
    assert ratios(collector) == [0.75]
    process.passes(15, busy=3)
    assert ratios(collector) == [0.1]


def test_a_scrape_at_once_after_another_gets_the_same() -> None:
    process = Process()
    collector = process.collector(cores=1)
    assert ratios(collector) == []
    process.passes(10, busy=5)
    assert ratios(collector) == [0.5]
    process.passes(0.1, busy=0.1)
    assert ratios(collector) == [0.5]


def test_threads_beyond_the_cores_do_not_count_as_more_than_all_of_them() -> None:
    process = Process()
    collector = process.collector(cores=1)
    process.passes(10, busy=12)
    assert ratios(collector) == [1.0]


def test_the_cores_of_a_process_are_those_of_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert own_cores() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert own_cores() >= 1
