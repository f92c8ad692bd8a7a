"""kubectl, as a user types it, and the programs of Kubernetes that the tests run.

Invariant: nothing here reads the caller's own kubeconfig: each ``Kubectl`` names the cluster that it speaks to.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
_CALL_SECONDS = 120


@cache
def binaries() -> Path:
    """The folder of the Kubernetes programs: what ``MTJ_CLUSTER_BIN`` names, or the project's own, built where needed.

    Where a build is going on, this waits for it.
    """
    if named := os.environ.get("MTJ_CLUSTER_BIN"):
        return Path(named)
    folder = REPOSITORY / ".tools/cluster/bin"
    if shutil.which("go") is None and not folder.exists():
        pytest.skip("Kubernetes for the tests is built with Go, which is not installed")
    subprocess.run([REPOSITORY / "tools/cluster/build"], check=True)
    return folder


class KubectlError(Exception):
    """kubectl ended with an error; the text is what it printed about it."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the rights of one kubeconfig.

    Attributes:
        kubeconfig: the file that says which cluster, and as whom.
        namespace: where objects are that name none themselves.
    """

    kubeconfig: Path
    namespace: str = "default"

    def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = _CALL_SECONDS) -> str:
        """What ``kubectl ARGUMENTS`` prints.

        Raises:
            KubectlError: it failed.
        """
        done = subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """The words of this call, for a process that the caller starts itself."""
        own = [str(binaries() / "kubectl"), f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}"]
        return [*own, *arguments]

    def within(self, namespace: str) -> Kubectl:
        """The same for another namespace."""
        return replace(self, namespace=namespace)

    def apply(self, *objects: Mapping[str, Any] | Path) -> None:
        """``kubectl apply -f``, of objects or of files and folders with them."""
        files = [str(one) for one in objects if isinstance(one, Path)]
        if files:
            self("apply", *(f"--filename={file}" for file in files))
        documents = [one for one in objects if not isinstance(one, Path)]
        if documents:
            self("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object."""
        found: dict[str, Any] = json.loads(self("get", kind, name, "--output=json"))
        return found

    def list(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of a kind in the namespace, those with certain labels alone where a selector is given."""
        found = json.loads(self("get", kind, f"--selector={selector}", "--output=json"))
        items: list[dict[str, Any]] = found["items"]
        return items

    def wait(self, target: str, condition: str, seconds: float = 60) -> None:
        """``kubectl wait --for=CONDITION TARGET``, such as ``wait("job/one", "condition=Complete")``."""
        self("wait", f"--for={condition}", target, f"--timeout={seconds:.0f}s", seconds=seconds + 10)
