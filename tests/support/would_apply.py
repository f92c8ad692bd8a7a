"""``kubectl apply --dry-run=server``: the API server checks and admits everything, and keeps nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import yaml

from support.kubectl import Kubectl


def would_apply(kubectl: Kubectl, objects: Iterable[Mapping[str, Any]]) -> None:
    """Return where the API server would take all of them; kubectl deals with one namespace at a time.

    Raises:
        KubectlError: it would not.
    """
    ordered = sorted(objects, key=_namespace)
    for namespace, some in groupby(ordered, key=_namespace):
        text = yaml.safe_dump_all(some)
        there = kubectl.within(namespace or "default")
        there("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename=-", stdin=text)


def _namespace(one: Mapping[str, Any]) -> str:
    found: str = one["metadata"].get("namespace", "")
    return found
