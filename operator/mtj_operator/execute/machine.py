"""What this machine has: cores, memory and GPUs that a job may use, read without torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mtj_api.advice import Machine

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""What /proc/cpuinfo calls a processor that multiplies bf16 (x86 and Arm)."""


def this_machine(root: Path = Path("/")) -> Machine:
    """The machine that this process runs on.

    Args:
        root: where /proc, /sys and /dev are.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _cgroup_cores(root)
    gpus = len([device for device in (root / "dev").glob("nvidia*") if device.name[6:].isdecimal()])
    return Machine(
        cores=max(1, min(cores, quota) if quota else cores),
        memory=_memory(root),
        gpus=gpus,
        fast_bf16=_fast_bf16(root),
    )


def _cgroup_cores(root: Path) -> int | None:
    """The cores that the control group allows, rounded up; ``None`` without a limit."""
    quota, _, period = _read(root / "sys/fs/cgroup/cpu.max").partition(" ")
    if not quota:
        quota = _read(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        period = _read(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if not quota.isdecimal() or not period.isdecimal():
        return None
    return -(-int(quota) // int(period))


def _memory(root: Path) -> int | None:
    """Bytes of main memory, or what the control group allows of it; ``None`` where /proc does not say."""
    total = next(
        (
            int(line.split()[1]) * 1024
            for line in _read(root / "proc/meminfo").splitlines()
            if line.startswith("MemTotal")
        ),
        None,
    )
    limits = [
        int(limit)
        for name in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
        if (limit := _read(root / name)).isdecimal()
    ]
    return min([*limits, total]) if total is not None else None


def _fast_bf16(root: Path) -> bool | None:
    lines = _read(root / "proc/cpuinfo").splitlines()
    flags = next((set(line.split()) for line in lines if line.startswith(("flags", "Features"))), None)
    return None if flags is None else bool(flags & BF16_FLAGS)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
