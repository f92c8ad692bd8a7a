"""What an installation of the operator leaves in its namespace, as it is and as the guide has it."""

from __future__ import annotations

import re

from support.guides import GUIDES
from support.kubectl import Kubectl

(GUIDE,) = (guide for guide in GUIDES if guide.stem == "install")

SYSTEM = "mtj-system"

Name = tuple[str, str]
"""Kind and name of an object; of Helm's Secrets without the number of the revision."""

_OF_EVERY_NAMESPACE = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}


def own(kubectl: Kubectl) -> set[Name]:
    """What somebody has put into the namespace: not what follows from that, nor what is in every namespace."""
    kinds = kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    kinds = [kind for kind in kinds if not kind.startswith("events") and "metrics.k8s.io" not in kind]
    found = [one for one in kubectl.list(",".join(kinds)) if not one["metadata"].get("ownerReferences")]
    return {_named(one["kind"], one["metadata"]["name"]) for one in found if one["kind"] != "Endpoints"} - (
        _OF_EVERY_NAMESPACE
    )


def documented() -> set[Name]:
    """The rows of the guide's table."""
    table = GUIDE.read_text(encoding="utf-8").split(f"| in the namespace `{SYSTEM}` | |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| ([A-Za-z, ]+) \| `([^`]+)`", table, re.MULTILINE)
    return {_named(kind, name) for kinds, name in rows for kind in kinds.split(", ")}


def _named(kind: str, name: str) -> Name:
    return kind, re.sub(r"\.v\d+$", "", name)
