"""How many processes the kernel has ended because memory ran out.

A process that was ended so leaves no more than its signal, SIGKILL, which others send as well. The kernel's own count
tells them apart (https://docs.kernel.org/admin-guide/cgroup-v2.html, memory.events).
"""

from __future__ import annotations

from pathlib import Path

NAME = "oom_kill"


def oom_kills(root: Path = Path("/")) -> int | None:
    """So far, in the control group of this process, or else on the whole machine; ``None`` where nobody counts.

    Args:
        root: where /proc and /sys are.
    """
    for path in (_own_group(root) / "memory.events", root / "sys/fs/cgroup/memory.events", root / "proc/vmstat"):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        found = next((line.split() for line in lines if line.startswith(f"{NAME} ")), None)
        if found:
            return int(found[1])
    return None


def _own_group(root: Path) -> Path:
    try:
        text = (root / "proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:
        text = ""
    group = next((line[3:] for line in text.splitlines() if line.startswith("0::")), "/")
    return root / "sys/fs/cgroup" / group.lstrip("/")
