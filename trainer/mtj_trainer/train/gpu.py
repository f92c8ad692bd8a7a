"""The GPU of a training process as Prometheus series, read from NVML whenever a scrape asks.

Invariant: a scrape always succeeds. What the driver cannot tell (no driver, no library, a lost device, a figure
that the device does not have) is left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Reading = Callable[[Any, Any], float]
"""From the ``pynvml`` module and a device's handle to a figure."""

SERIES: dict[str, tuple[str, Reading]] = {
    "mtj_gpu_utilization_ratio": (
        "Part of the last sampling period in which the GPU computed.",
        lambda nvml, device: nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100,
    ),
    "mtj_gpu_memory_used_bytes": (
        "Memory in use, by all processes.",
        lambda nvml, device: nvml.nvmlDeviceGetMemoryInfo(device).used,
    ),
    "mtj_gpu_memory_total_bytes": (
        "Memory of the GPU.",
        lambda nvml, device: nvml.nvmlDeviceGetMemoryInfo(device).total,
    ),
    "mtj_gpu_power_watts": (
        "Power drawn.",
        lambda nvml, device: nvml.nvmlDeviceGetPowerUsage(device) / 1000,
    ),
    "mtj_gpu_power_limit_watts": (
        "The most that it may draw.",
        lambda nvml, device: nvml.nvmlDeviceGetEnforcedPowerLimit(device) / 1000,
    ),
}


def visible_device(local_rank: int, environment: Mapping[str, str] = os.environ) -> str | None:
    """The GPU that CUDA gives to this process, as NVML knows it: an index or a UUID; ``None`` for none.

    NVML ignores ``CUDA_VISIBLE_DEVICES``, so that it has to be applied here.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return str(local_rank)
    devices = [device.strip() for device in visible.split(",")]
    return devices[local_rank] if local_rank < len(devices) and devices[local_rank] not in ("", "-1") else None


def utilizations(environment: Mapping[str, str] = os.environ) -> dict[str, int]:
    """The GPUs that CUDA gives to this machine's processes, by UUID: in how many percent of the time each computed.

    All that NVML knows of where the environment names none. Empty where there is no driver.
    """
    try:
        import pynvml as nvml

        nvml.nvmlInit()
    except Exception:
        return {}
    try:
        visible = environment.get("CUDA_VISIBLE_DEVICES")
        names = map(str, range(nvml.nvmlDeviceGetCount())) if visible is None else visible.split(",")
        return dict(found for name in names if (found := _utilization(nvml, name.strip())) is not None)
    finally:
        nvml.nvmlShutdown()


def _utilization(nvml: Any, name: str) -> tuple[str, int] | None:
    try:
        device = _handle(nvml, name)
        return str(nvml.nvmlDeviceGetUUID(device)), int(nvml.nvmlDeviceGetUtilizationRates(device).gpu)
    except nvml.NVMLError:
        return None


class GpuCollector(Collector):
    """Utilization, memory and power of one GPU.

    Args:
        job, rank: labels of every series.
        device: an index or UUID, or ``None`` for a process without a GPU.
    """

    def __init__(self, job: str, rank: int, device: str | None) -> None:
        self._labels = (job, str(rank))
        self._device = device
        self._nvml: Any = None

    def collect(self) -> Iterator[Metric]:
        if self._device is None:
            return
        try:
            nvml = self._started()
            device = _handle(nvml, self._device)
            names = (str(nvml.nvmlDeviceGetIndex(device)), nvml.nvmlDeviceGetUUID(device))
        except Exception:
            return
        for name, (documentation, read) in SERIES.items():
            family = GaugeMetricFamily(name, documentation, labels=("job", "rank", "gpu", "uuid"))
            try:
                family.add_metric((*self._labels, *names), read(nvml, device))
            except nvml.NVMLError:
                continue
            yield family

    def close(self) -> None:
        """Let go of the driver."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml = None

    def _started(self) -> Any:
        if self._nvml is None:
            import pynvml  # only where a scrape asks: most machines that import this have no GPU

            pynvml.nvmlInit()
            self._nvml = pynvml
        return self._nvml


def _handle(nvml: Any, device: str) -> Any:
    if device.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(device))
    return nvml.nvmlDeviceGetHandleByUUID(device.encode())
