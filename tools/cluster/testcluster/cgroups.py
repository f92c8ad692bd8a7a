"""Control groups, in which kubelets count and bound what pods use: one group a node, below this machine's root.

Two kubelets under one group would end each other's pods as orphans.

Invariant: a node's groups are empty when it is off; ``remove`` removes them, also those of a cluster that crashed.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")


def create(name: str) -> None:
    """Make the group, in every hierarchy of version 1 or in the one of version 2."""
    if _is_version_2():
        with contextlib.suppress(OSError):  # those that this machine has not been given
            (_ROOT / "cgroup.subtree_control").write_text(" ".join(f"+{one}" for one in _CONTROLLERS))
    for hierarchy in _hierarchies():
        if hierarchy.name == "unified":  # version 2 beside version 1, where it controls nothing
            continue
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if not _is_version_2() and (group / setting).exists():
                (group / setting).write_text((hierarchy / setting).read_text())


def remove(name: str) -> None:
    """Remove the group with all below it, from the innermost outwards; what still has processes stays."""
    for hierarchy in _hierarchies():
        group = hierarchy / name
        below = sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
        for path in (*below, group):
            with contextlib.suppress(OSError):
                path.rmdir()


def _is_version_2() -> bool:
    return (_ROOT / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    if _is_version_2():
        return [_ROOT]
    return [path for path in _ROOT.iterdir() if path.is_dir() and not path.is_symlink()]
