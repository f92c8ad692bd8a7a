"""Runs a command in an image as a pod under Pod Security "restricted" does: by runc, with no root and no rights.

Invariant: nothing is left of a container, and the image's own files are never written to.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagebuild.buildah import BUILDAH, run

WORK = "/work"
"""What a pod may write to, beside /tmp."""

_USER = 65532
_NAMESPACES = ("pid", "ipc", "uts", "mount", "network")
_SYSTEM_MOUNTS: tuple[dict[str, Any], ...] = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "nodev", "mode=1777"]},  # noqa: S108 - the container's own
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
)


class Container:
    """A mounted image, in which commands are run one after another.

    Attributes:
        root: its files, seen from this machine.
    """

    def __init__(self, image: str, root: Path, folder: Path) -> None:
        self.root = root
        self._image_environment = _environment(image)
        self._folder = folder

    def run(self, *command: str, stdin: str = "", seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """What a command that was run to its end printed and returned."""
        (self._folder / "config.json").write_text(json.dumps(self._config(command)))
        name = f"mtj-{uuid.uuid4().hex[:8]}"
        runc = ["runc", "--root", str(self._folder / "runc")]
        try:
            return subprocess.run(
                [*runc, "run", "--bundle", str(self._folder), name],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        finally:
            subprocess.run([*runc, "delete", "--force", name], capture_output=True, check=False)

    def _config(self, command: tuple[str, ...]) -> dict[str, Any]:
        writable = ["nosuid", "nodev", "mode=1777"]
        places = [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": writable}]  # noqa: S108
        work = {"destination": WORK, "type": "bind", "source": str(self._folder / "work"), "options": ["rbind", "rw"]}
        return {
            "ociVersion": "1.0.2",
            "root": {"path": str(self.root), "readonly": True},
            "mounts": [*_SYSTEM_MOUNTS, *places, work],
            "process": {
                "terminal": False,
                "user": {"uid": _USER, "gid": _USER},
                "args": list(command),
                "env": [*self._image_environment, f"HOME={WORK}", "TMPDIR=/tmp"],
                "cwd": WORK,
                "noNewPrivileges": True,
                "capabilities": {},
            },
            "linux": {"namespaces": [{"type": kind} for kind in _NAMESPACES]},
        }


@contextmanager
def container(image: str) -> Iterator[Container]:
    """A container of an image, with an empty folder that it may write to."""
    name = run([*BUILDAH, "from", "--pull-never", image]).strip()
    try:
        root = Path(run([*BUILDAH, "mount", name]).strip())
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder) / "work"
            work.mkdir()
            work.chmod(0o777)
            yield Container(image, root, Path(folder))
    finally:
        run([*BUILDAH, "rm", name])


def _environment(image: str) -> list[str]:
    inspected = json.loads(run([*BUILDAH, "inspect", "--type", "image", image]))
    variables: list[str] = inspected["OCIv1"]["config"].get("Env", [])
    return variables
