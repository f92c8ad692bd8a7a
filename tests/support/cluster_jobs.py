"""MusicTrainingJobs on a cluster, as whoever applied them sees them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from support.kubectl import Kubectl, KubectlError
from support.witness import eventually

Raw = dict[str, Any]


def document(name: str = "chorales", **spec: Any) -> Raw:
    """A job that trains, with these parts of the spec beside or in place of the smallest ones."""
    smallest = {"dataset": {"source": "s3://music/raw"}, "model": {}, "output": f"s3://music/out/{name}"}
    return {
        "apiVersion": "training.discomusica.io/v1alpha1",
        "kind": "MusicTrainingJob",
        "metadata": {"name": name},
        "spec": {**smallest, **spec},
    }


def status(kubectl: Kubectl, name: str = "chorales") -> Raw:
    """The job's status; empty while nobody has told about it."""
    found: Raw = kubectl.get("mtj", name).get("status", {})
    return found


def stage(kubectl: Kubectl, stage_name: str, name: str = "chorales") -> Raw:
    """A stage's row; empty while there is none."""
    rows = status(kubectl, name).get("stages", [])
    return next((row for row in rows if row["name"] == stage_name), {})


def wait_for(kubectl: Kubectl, holds: Callable[[Raw], bool], name: str = "chorales", seconds: float = 60) -> Raw:
    """The status, once something holds of it."""
    try:
        eventually(lambda: holds(status(kubectl, name)), seconds)
    except AssertionError as error:
        raise AssertionError(f"it never came about: {json.dumps(status(kubectl, name), indent=1)}") from error
    return status(kubectl, name)


def wait_for_job(kubectl: Kubectl, name: str, seconds: float = 60) -> Raw:
    """A child Job, once it is there."""

    def exists() -> bool:
        try:
            kubectl.get("job", name)
        except KubectlError:
            return False
        return True

    eventually(exists, seconds)
    return kubectl.get("job", name)
