"""Helm, as a user types it, with the project's chart."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.kubectl import REPOSITORY

CHART = REPOSITORY / "charts/mtj-operator"
RELEASE, NAMESPACE = "mtj-operator", "mtj-system"

Object = dict[str, Any]


class HelmError(Exception):
    """Helm ended with an error; the text is what it printed about it."""


@cache
def program() -> Path:
    """Helm itself, built where needed."""
    found = REPOSITORY / ".tools/helm/bin/helm"
    if shutil.which("go") is None and not found.exists():
        pytest.skip("Helm for the tests is built with Go, which is not installed")
    subprocess.run([REPOSITORY / "tools/helm/build"], check=True)
    return found


def helm(*arguments: str, values: Mapping[str, Any] | None = None, kubeconfig: Path | None = None) -> str:
    """What ``helm ARGUMENTS`` prints.

    Args:
        arguments: its words.
        values: over the chart's own.
        kubeconfig: which cluster; none for what needs none.

    Raises:
        HelmError: it failed.
    """
    command = [str(program()), *arguments, *(() if kubeconfig is None else (f"--kubeconfig={kubeconfig}",))]
    if values is not None:
        command.append("--values=-")
    done = subprocess.run(
        command, input=json.dumps(values or {}), capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise HelmError(done.stderr.strip())
    return done.stdout


def rendered(values: Mapping[str, Any] | None = None, *, chart: Path = CHART, release: str = RELEASE) -> list[Object]:
    """The objects of the chart with these values.

    Raises:
        HelmError: the values are refused.
    """
    text = helm("template", release, str(chart), f"--namespace={NAMESPACE}", values=values or {})
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """Those of a kind."""
    return [one for one in objects if one["kind"] == kind]
