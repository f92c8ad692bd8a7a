"""Nobody can use the operator to get at what is not theirs: the rights that ship, and the pod that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from support.kubectl import REPOSITORY

MANIFESTS = sorted((REPOSITORY / "manifests").rglob("*.yaml"))

NEVER_RESOURCES = {
    "*",
    "secrets",
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/ephemeralcontainers",
    "nodes/proxy",
    "services/proxy",
    "serviceaccounts",
    "serviceaccounts/token",
    "roles",
    "clusterroles",
    "rolebindings",
    "clusterrolebindings",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "customresourcedefinitions",
    "certificatesigningrequests/approval",
}
NEVER_VERBS = {"*", "escalate", "bind", "impersonate", "approve", "sign", "deletecollection"}


def shipped(*kinds: str) -> list[dict[str, Any]]:
    """Every object of these kinds in the manifests."""
    found = (one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text()))
    return [one for one in found if one and one.get("kind") in kinds]


def rights(role: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for rule in role["rules"]:
        assert "nonResourceURLs" not in rule
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield group, resource, verb


OPERATORS = [role for role in shipped("Role", "ClusterRole") if role["metadata"]["name"].startswith("mtj-operator")]


@pytest.mark.parametrize("role", OPERATORS, ids=[role["metadata"]["name"] for role in OPERATORS])
def test_a_role_of_the_operator_leads_to_no_other_rights(role: dict[str, Any]) -> None:
    granted = set(rights(role))
    assert granted
    assert not {resource for _, resource, _ in granted} & NEVER_RESOURCES
    assert not {verb for _, _, verb in granted} & NEVER_VERBS
    assert not {group for group, _, _ in granted} & {"*"}
    assert ("", "pods", "create") not in granted
    assert ("", "configmaps", "list") not in granted
    assert ("", "configmaps", "update") not in granted


def test_users_are_given_rights_over_jobs_alone() -> None:
    users = [role for role in shipped("ClusterRole") if role not in OPERATORS]
    assert {role["metadata"]["name"] for role in users} >= {"mtj-editor", "mtj-viewer"}
    for role in users:
        for group, resource, verb in rights(role):
            assert group == "training.discomusica.io"
            assert resource.partition("/")[0] == "musictrainingjobs"
            assert resource != "musictrainingjobs/status" or verb in ("get", "list", "watch")
            assert verb != "*"


def test_rights_are_bound_to_the_operators_account_alone() -> None:
    of_the_operator = {role["metadata"]["name"] for role in OPERATORS}
    bindings = [
        one for one in shipped("RoleBinding", "ClusterRoleBinding") if one["roleRef"]["name"] in of_the_operator
    ]
    assert bindings
    for binding in bindings:
        assert [(one["kind"], one["name"]) for one in binding["subjects"]] == [("ServiceAccount", "mtj-operator")]


def test_the_operators_own_pod_is_confined() -> None:
    for deployment in shipped("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert not any("hostPath" in volume for volume in pod.get("volumes", []))
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_a_namespace_that_ships_is_restricted() -> None:
    for namespace in shipped("Namespace"):
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
