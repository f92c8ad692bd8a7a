"""What the resources of operators beside ours look like: their CustomResourceDefinitions, from their own releases."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from support.kubectl import REPOSITORY


@dataclass(frozen=True)
class Release:
    """A release of an operator.

    Attributes:
        module: of Go.
        version: of the module.
        contents: the hash that its contents must have.
        files: of the definitions that ours has to do with.
    """

    module: str
    version: str
    contents: str
    files: tuple[str, ...]

    @cache  # noqa: B019 - there are two
    def definitions(self) -> tuple[Path, ...]:
        """The files, in Go's module cache."""
        if shutil.which("go") is None:
            pytest.skip("the definitions of other operators come with Go, which is not installed")
        command = [str(REPOSITORY / "tools/pinned-module"), self.module, self.version, self.contents]
        folder = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
        return tuple(folder / file for file in self.files)


PROMETHEUS_OPERATOR = Release(
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    tuple(
        f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
        for kind in ("servicemonitors", "podmonitors", "prometheusrules")
    ),
)

KUEUE = Release(
    "sigs.k8s.io/kueue",
    "v0.17.0",
    "h1:7hzb38M4eKGzYW+CFv2s1L+swzzacUCHOCXxZmAV90I=",
    tuple(
        f"config/components/crd/bases/kueue.x-k8s.io_{kind}.yaml"
        for kind in ("resourceflavors", "clusterqueues", "localqueues")
    ),
)
