"""How busy a training process keeps its cores, as a Prometheus series: the utilization of a rank without a GPU."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

SHORTEST_SECONDS = 1.0
"""Scrapes that follow each other faster get the same figure: the kernel counts in steps of 10 ms."""


class CpuCollector(Collector):
    """Processor time since the scrape before, as a part of what the process's cores could have given.

    Args:
        job, rank: labels of the series.
        cores: that this process may use.
        used: processor time of all its threads so far, in seconds.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        job: str,
        rank: int,
        cores: int | None = None,
        used: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._labels = (job, str(rank))
        self._cores = cores if cores is not None else own_cores()
        self._used = used
        self._clock = clock
        self._since, self._used_then = clock(), used()
        self._ratio: float | None = None

    def collect(self) -> Iterator[Metric]:
        now, used = self._clock(), self._used()
        if now - self._since >= SHORTEST_SECONDS:
            self._ratio = min(1.0, (used - self._used_then) / (now - self._since) / self._cores)
            self._since, self._used_then = now, used
        if self._ratio is None:
            return
        family = GaugeMetricFamily(
            "mtj_cpu_utilization_ratio", "Part of its cores' time that the process used.", labels=("job", "rank")
        )
        family.add_metric(self._labels, self._ratio)
        yield family


def own_cores() -> int:
    """The cores that the threads of this process may keep busy."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 0:
        return int(threads)
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
