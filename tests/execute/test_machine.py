"""What a machine has, read from a tree of the files in which Linux says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtj_operator.execute.machine import this_machine


def tree(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


MEMINFO = "MemTotal:       16000000 kB\nMemFree:  1 kB\n"


def test_memory_is_what_there_is_or_what_the_control_group_allows(tmp_path: Path) -> None:
    assert this_machine(tree(tmp_path, proc__meminfo=MEMINFO)).memory == 16_384_000_000
    limited = tree(tmp_path, **{"sys__fs__cgroup__memory.max": "4294967296\n"})
    assert this_machine(limited).memory == 4 << 30
    assert this_machine(tree(tmp_path, **{"sys__fs__cgroup__memory.max": "max\n"})).memory == 16_384_000_000


@pytest.mark.parametrize(("quota", "cores"), [("100000 100000", 1), ("50000 100000", 1)])
def test_a_control_group_may_allow_fewer_cores(tmp_path: Path, quota: str, cores: int) -> None:
    assert this_machine(tree(tmp_path, **{"sys__fs__cgroup__cpu.max": quota})).cores == cores


def test_gpus_are_the_numbered_devices(tmp_path: Path) -> None:
    assert this_machine(tree(tmp_path, dev__nvidia0="", dev__nvidia1="", dev__nvidiactl="")).gpus == 2


@pytest.mark.parametrize(
    ("cpuinfo", "fast"),
    [
        ("flags\t\t: fpu avx512_bf16 avx2\n", True),
        ("flags\t\t: fpu avx2\n", False),
        ("Features\t: fp asimd bf16\n", True),
        ("", None),
    ],
)
def test_bf16_is_a_matter_of_the_processor(tmp_path: Path, cpuinfo: str, fast: bool | None) -> None:
    assert this_machine(tree(tmp_path, proc__cpuinfo=cpuinfo)).fast_bf16 is fast


def test_a_machine_that_says_nothing_still_has_a_core(tmp_path: Path) -> None:
    machine = this_machine(tmp_path)
    assert machine.cores >= 1
    assert (machine.memory, machine.gpus) == (None, 0)
