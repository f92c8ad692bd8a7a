"""Who may do what where: tenants by the roles that ship, and an operator that serves named namespaces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtj_api.contract import GROUP, PLURAL
from mtj_operator.control.rights import LEASE, LEASE_USES, USES, Kind
from support import operated_jobs, operator_process
from support.jobs import document
from support.kubectl import Kubectl, KubectlError
from support.kubernetes_api import ApiServer
from support.kubernetes_http import Http

pytestmark = pytest.mark.usefixtures("helm")

EDITOR, VIEWER, OPERATOR = "erika", "viktor", "system:serviceaccount:mtj-system:mtj-operator"


@pytest.fixture(scope="module")
def http(named: Kubectl, api_server: ApiServer) -> Iterator[Http]:
    """A release that serves the namespace music, where two people have one role each."""
    music = named.within("music")
    for role, user in (("mtj-editor", EDITOR), ("mtj-viewer", VIEWER)):
        music("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
    yield Http(api_server)
    music("delete", "rolebinding", EDITOR, VIEWER)


def may(http: Http, who: str, verb: str, resource: str, namespace: str = "", group: str = GROUP) -> bool:
    """What the API server answers to the question whether somebody may."""
    plural, _, subresource = resource.partition("/")
    asked = {
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
        "namespace": namespace,
    }
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    groups = ["system:authenticated"]
    if who.startswith("system:serviceaccount:"):
        groups += ["system:serviceaccounts", f"system:serviceaccounts:{who.split(':')[2]}"]
    spec = {"user": who, "groups": groups, "resourceAttributes": asked}
    answer = http("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {**review, "spec": spec})
    return bool(answer["status"]["allowed"])


READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete", "deletecollection")

# of others' namespaces, of the cluster, and of what only the operator writes: resource, group, namespace
BEYOND: dict[str, tuple[str, str, str]] = {
    "jobs of another team": (PLURAL, GROUP, "drums"),
    "jobs of the operator's namespace": (PLURAL, GROUP, "mtj-system"),
    "jobs of all": (PLURAL, GROUP, ""),
    "secrets of its own namespace": ("secrets", "", "music"),
    "secrets of another": ("secrets", "", "drums"),
    "pods": ("pods", "", "music"),
    "shells in pods": ("pods/exec", "", "music"),
    "Jobs of Kubernetes": ("jobs", "batch", "music"),
    "roles": ("roles", "rbac.authorization.k8s.io", "music"),
    "bindings of roles": ("rolebindings", "rbac.authorization.k8s.io", "music"),
    "roles of the cluster": ("clusterroles", "rbac.authorization.k8s.io", ""),
    "the definition": ("customresourcedefinitions", "apiextensions.k8s.io", ""),
    "policies": ("networkpolicies", "networking.k8s.io", "music"),
    "namespaces": ("namespaces", "", ""),
    "nodes": ("nodes", "", ""),
    "the operator": ("deployments", "apps", "mtj-system"),
    "its lease": ("leases", "coordination.k8s.io", "mtj-system"),
    "others' names": ("users", "", ""),
}


@pytest.mark.parametrize("verb", [*READ, *WRITE])
def test_an_editor_may_do_all_with_the_jobs_of_its_namespace_and_a_viewer_look(http: Http, verb: str) -> None:
    assert may(http, EDITOR, verb, PLURAL, "music")
    assert may(http, VIEWER, verb, PLURAL, "music") is (verb in READ)


@pytest.mark.parametrize(("resource", "group", "namespace"), BEYOND.values(), ids=BEYOND)
@pytest.mark.parametrize("who", [EDITOR, VIEWER])
def test_nobody_may_do_anything_beyond(http: Http, who: str, resource: str, group: str, namespace: str) -> None:
    assert not [verb for verb in (*READ, *WRITE) if may(http, who, verb, resource, namespace, group)]


def test_only_the_operator_writes_a_status(http: Http) -> None:
    assert not may(http, EDITOR, "patch", f"{PLURAL}/status", "music")
    assert may(http, OPERATOR, "patch", f"{PLURAL}/status", "music")


def test_an_editor_makes_a_job_in_its_namespace_and_in_no_other(http: Http, kubectl: Kubectl) -> None:
    job = json.dumps(document(output="s3://music/out"))
    kubectl.within("music")("create", f"--as={EDITOR}", "--filename=-", stdin=job)
    kubectl.within("music")("delete", f"--as={EDITOR}", "mtj", "chorales")
    with pytest.raises(KubectlError, match=r'cannot create resource "musictrainingjobs".* in the namespace "drums"'):
        kubectl.within("drums")("create", f"--as={EDITOR}", "--filename=-", stdin=job)


# The operator, with the rights of a release for the namespace music.

USED: list[tuple[Kind, str]] = [(kind, verb) for kind, verbs in USES.items() for verb in verbs]


def name(value: Any) -> str:
    return value.plural if isinstance(value, Kind) else str(value)


@pytest.mark.parametrize(("kind", "verb"), USED, ids=name)
def test_the_operator_may_do_its_work_there_and_nowhere_else(http: Http, kind: Kind, verb: str) -> None:
    assert may(http, OPERATOR, verb, kind.plural, "music", kind.group)
    for namespace in ("drums", "mtj-system", ""):
        assert not may(http, OPERATOR, verb, kind.plural, namespace, kind.group)


def test_the_operator_keeps_its_lease_in_its_own_namespace(http: Http) -> None:
    for verb in LEASE_USES[LEASE]:
        assert may(http, OPERATOR, verb, LEASE.plural, "mtj-system", LEASE.group)
        assert not may(http, OPERATOR, verb, LEASE.plural, "music", LEASE.group)


def test_an_operator_with_these_rights_serves_the_namespace_and_no_other(
    named: Kubectl, api_server: ApiServer, tmp_path: Path
) -> None:
    account = operator_process.service_account(api_server, tmp_path)
    music, drums = named.within("music"), named.within("drums")
    with operator_process.running(account, tmp_path, "--namespace=music") as operator:
        operator.wait_until_it_acts()
        for kubectl in (drums, music):
            kubectl.apply(operated_jobs.document("first"))
        operated_jobs.wait_for_job(music, "first-prepare-1")
        assert not drums.list("jobs")
        assert "forbidden" not in operator.log.read_text()
    for kubectl in (drums, music):
        kubectl("delete", "mtj", "first")
