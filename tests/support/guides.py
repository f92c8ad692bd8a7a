"""The pages of ``docs/guides`` as what they have to be written and run: their fenced blocks, and who follows them."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from support.compiled import share_compiled

GUIDES = sorted((Path(__file__).parents[2] / "docs/guides").glob("*.md"))

Settings = Mapping[str, Mapping[str, object]]
"""What ``mtj run NAME.yaml`` is given besides, by that name."""


class Block(NamedTuple):
    """A fenced block: its language, the marks after it, and its text."""

    language: str
    marks: str
    text: str


def named(name: str) -> Path:
    """The guide of this name."""
    (found,) = (guide for guide in GUIDES if guide.stem == name)
    return found


def blocks(guide: Path) -> list[Block]:
    """The blocks of a page, in order."""
    fences = re.findall(r"^```(\w+)(.*)\n((?:.*\n)*?)```$", guide.read_text(encoding="utf-8"), re.MULTILINE)
    return [Block(language, marks.strip(), text) for language, marks, text in fences]


class Follower:
    """Somebody who follows a guide, in a folder with a home of their own.

    Args:
        folder: it.
        small: what makes the guide's jobs small.
    """

    def __init__(self, folder: Path, small: Settings) -> None:
        self._folder = folder
        scripts, home = folder / ".bin", folder / ".home"
        scripts.mkdir()
        home.mkdir()
        share_compiled(home / ".cache")
        (scripts / "mtj").write_text(_command(small))
        (scripts / "mtj").chmod(0o755)
        self._environment = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "HOME": str(home)}
        for name in ("XDG_CACHE_HOME", "MTJ_WORK_DIR"):
            self._environment.pop(name, None)

    def write(self, block: Block) -> None:
        """The file that a block is."""
        path = self._folder / block.marks.removeprefix("file=")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def start(self, script: str) -> subprocess.Popen[str]:
        """A script that was started."""
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, script: str) -> str:
        """What a script prints, which must not fail."""
        with self.start(script) as process:
            printed, _ = process.communicate()
        assert process.returncode == 0, f"{script}\n{printed}"
        return printed


def _command(small: Settings) -> str:
    """``mtj`` with more settings."""
    lines = ["#!/bin/sh", 'case "$1 $2" in']
    for job, settings in small.items():
        flags = " ".join(f"--set '{name}={value}'" for name, value in settings.items())
        lines.append(f'"run {job}.yaml") set -- "$@" {flags};;')
    mtj = Path(sysconfig.get_path("scripts")) / "mtj"
    return "\n".join([*lines, "esac", f'exec "{mtj}" "$@"', ""])
