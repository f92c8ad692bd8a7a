"""What the guides say of values, and that to installing of kustomize, is so."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from support.guides import GUIDES, blocks
from support.helm import rendered
from support.installed import GUIDE
from support.kubectl import REPOSITORY, Kubectl, binaries
from support.would_apply import would_apply

pytestmark = pytest.mark.usefixtures("helm")

VALUES = [block.text for guide in GUIDES for block in blocks(guide) if block.marks == "values"]


@pytest.mark.parametrize("values", VALUES)
def test_values_are_right(values: str, kubectl: Kubectl) -> None:
    would_apply(kubectl, rendered(yaml.safe_load(values)))


def test_its_folder_for_a_team_is_made_as_it_says(kubectl: Kubectl, tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "manifests", tmp_path / "manifests")
    (script,) = (block.text for block in blocks(GUIDE) if "manifests/tenant drums" in block.text)
    asks = script.replace("apply -k", "apply --dry-run=server --namespace=drums -k")
    environment = {**os.environ, "KUBECONFIG": str(kubectl.kubeconfig), "PATH": f"{binaries()}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", asks], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "namespace/drums" in done.stdout


def test_every_folder_that_it_names_is_there() -> None:
    named = {word for word in GUIDE.read_text().split("`") if word.startswith("manifests/")}
    assert len(named) >= 5
    assert all((REPOSITORY / name).is_dir() for name in named)
