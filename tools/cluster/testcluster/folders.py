"""Folders of this machine that pods may have: what makes a claim of one.

Pod Security "restricted" forbids pods to name a folder of their node, but not to claim a volume that an administrator
has made of one. In the namespace ``default`` all of ``SHARED`` are claimed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from testcluster.layout import CHECKOUT, FOLDER

READ_ONLY, WRITABLE = "ReadOnlyMany", "ReadWriteMany"

PACKAGES = {
    "packages": CHECKOUT / ".venv/lib/python3.11/site-packages",
    "operator": CHECKOUT / "operator",
    "trainer": CHECKOUT / "trainer",
}
"""The Python packages that stages run, which the test image lacks, by the names of their claims."""

FILES = FOLDER / "files"
"""For jobs that are tried out: music, and what becomes of it."""

SHARED = (
    *((claim, folder, READ_ONLY) for claim, folder in PACKAGES.items()),
    ("files", FILES, WRITABLE),
)


def volume_and_claim(namespace: str, claim: str, folder: Path, mode: str) -> list[dict[str, Any]]:
    """The objects by which pods of a namespace may mount a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    if mode == WRITABLE:
        folder.chmod(0o777)  # whoever a pod runs as
    name = volume(namespace, claim)
    common = {"accessModes": [mode], "storageClassName": ""}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                **common,
                "capacity": {"storage": "10Gi"},
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": namespace, "name": claim},
                "hostPath": {"path": str(folder), "type": "Directory"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": namespace},
            "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": "10Gi"}}},
        },
    ]


def volume(namespace: str, claim: str) -> str:
    """The name of the volume that a claim is for."""
    return f"{namespace}-{claim}"
