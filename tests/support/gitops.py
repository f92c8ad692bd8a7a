"""Flux and Argo CD, as ``tools/gitops/build`` builds them: where they are, and what they make of an object."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.kubectl import REPOSITORY

MANIFESTS = REPOSITORY / "manifests/gitops"
_SECONDS = 60


class Verdict(NamedTuple):
    """What a tool says of an object.

    Attributes:
        word: one of its own words for the state of any object.
        message: one sentence.
    """

    word: str
    message: str


@cache
def home() -> Path:
    """The folder with ``bin`` and ``crds``: what ``MTJ_GITOPS`` names, or the project's own, built where needed."""
    if named := os.environ.get("MTJ_GITOPS"):
        return Path(named)
    folder = REPOSITORY / ".tools/gitops"
    if shutil.which("go") is None and not folder.exists():
        pytest.skip("Flux and Argo CD for the tests are built with Go, which is not installed")
    subprocess.run([REPOSITORY / "tools/gitops/build"], check=True)
    return folder


def kstatus(found: Mapping[str, Any], folder: Path) -> Verdict:
    """What Flux makes of an object: InProgress, Current, Failed or another word of kstatus's."""
    return _verdict("kstatus", _written(found, folder))


def argocd_health(found: Mapping[str, Any], folder: Path) -> Verdict:
    """What Argo CD makes of an object, with the ConfigMap that ships: Progressing, Healthy, Suspended or Degraded."""
    return _verdict("argocd-health", MANIFESTS / "argocd/argocd-cm.yaml", _written(found, folder))


def _written(found: Mapping[str, Any], folder: Path) -> Path:
    path = folder / "object.json"
    path.write_text(json.dumps(found))
    return path


def _verdict(program: str, *arguments: Path) -> Verdict:
    command = [home() / "bin" / program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    word, _, message = done.stdout.rstrip("\n").partition("\t")
    return Verdict(word, message)
