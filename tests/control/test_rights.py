"""The roles that ship grant what the operator does, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from mtj_operator.control.rights import CLUSTER_USES, LEASE_USES, USES, Kind
from support.kubectl import REPOSITORY, Kubectl, KubectlError
from support.kubernetes_api import ApiServer
from support.operator_process import Start

INSTALLED = list(yaml.safe_load_all((REPOSITORY / "manifests/operator/operator.yaml").read_text()))

Right = tuple[str, str, str]
"""Group, resource, verb."""


def granted(name: str) -> set[Right]:
    """What the role of this name grants."""
    (role,) = (one for one in INSTALLED if "rules" in one and one["metadata"]["name"] == name)
    for rule in role["rules"]:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(uses: Mapping[Kind, tuple[str, ...]]) -> set[Right]:
    return {(kind.group, kind.plural, verb) for kind, verbs in uses.items() for verb in verbs}


def test_the_cluster_role_grants_what_is_used_in_every_namespace() -> None:
    assert granted("mtj-operator") == used(USES) | used(CLUSTER_USES)


def test_the_role_grants_what_is_done_with_the_lease() -> None:
    assert granted("mtj-operator-lease") == used(LEASE_USES)


def test_the_operator_reads_no_secret() -> None:
    everything = granted("mtj-operator") | granted("mtj-operator-lease")
    assert not {resource for _, resource, _ in everything} & {"secrets", "*"}


@pytest.mark.slow
def test_an_operator_that_may_not_list_says_so_and_ends(cluster: ApiServer, kubectl: Kubectl, start: Start) -> None:
    name = "clusterrole/mtj-operator"
    rules: list[dict[str, Any]] = kubectl.get("clusterrole", "mtj-operator")["rules"]
    without = [rule for rule in rules if rule["resources"] != ["pods"]]
    cluster.kubectl("patch", name, "--type=merge", f"--patch={yaml.safe_dump({'rules': without})}")
    try:
        with start() as operator:
            assert operator.wait(120) == 1
            assert "pods is forbidden" in operator.log.read_text()
    finally:
        cluster.kubectl("patch", name, "--type=merge", f"--patch={yaml.safe_dump({'rules': rules})}")


@pytest.mark.parametrize(
    ("who", "verb", "may"), [("edit", "create", True), ("view", "get", True), ("view", "create", False)]
)
@pytest.mark.slow
def test_whoever_may_edit_or_view_a_namespace_may_do_so_with_its_jobs(
    cluster: ApiServer, kubectl: Kubectl, who: str, verb: str, may: bool
) -> None:
    kubectl("create", "rolebinding", who, f"--clusterrole={who}", f"--user={who}")
    try:
        answer = kubectl("auth", "can-i", verb, "musictrainingjobs", f"--as={who}").strip()
    except KubectlError as error:
        answer = str(error)
    assert (answer == "yes") == may
