"""Of several replicas one acts; whatever becomes of it, another goes on."""

from __future__ import annotations

import pytest

from support.kubectl import Kubectl
from support.operated_jobs import document, wait_for_job
from support.operator_process import NAMESPACE, Operator, Start
from support.witness import eventually

pytestmark = pytest.mark.slow

LEASE = "mtj-operator"


def holder(kubectl: Kubectl) -> str:
    """Who holds the lease."""
    found: str = kubectl.within(NAMESPACE).get("lease", LEASE)["spec"].get("holderIdentity", "")
    return found


def leads(operator: Operator) -> bool:
    return bool(operator.health().get("leader"))


def test_one_acts_and_the_other_stands_by_and_takes_over_when_it_is_killed(kubectl: Kubectl, start: Start) -> None:
    with start(name="first") as first, start(name="second") as second:
        eventually(lambda: leads(first) or leads(second), 60)
        acting, standing_by = (first, second) if leads(first) else (second, first)
        eventually(lambda: bool(standing_by.health().get("synced")), 60)
        assert standing_by.get("/readyz")[0] == 200
        kubectl.apply(document("before"))
        wait_for_job(kubectl, "before-prepare-1")
        assert not leads(standing_by)
        assert standing_by.metric("mtj_operator_reconcile_seconds_count") == 0.0
        acting.kill()
        kubectl.apply(document("after"))
        wait_for_job(kubectl, "after-prepare-1", 120)
        assert leads(standing_by)


def test_one_that_is_told_to_stop_hands_over_without_a_pause(kubectl: Kubectl, start: Start) -> None:
    with start(name="first") as first:
        first.wait_until_it_acts()
        assert first.terminate() == 0
        assert holder(kubectl) == ""


def test_one_that_lost_the_lease_ends_at_once(kubectl: Kubectl, start: Start) -> None:
    with start() as operator:
        operator.wait_until_it_acts()
        kubectl.within(NAMESPACE)("patch", "lease", LEASE, "--type=merge", '--patch={"spec":{"holderIdentity":"x"}}')
        assert operator.wait(60) == 1
        assert "lease was lost" in operator.log.read_text()
    kubectl.within(NAMESPACE)("delete", "lease", LEASE)


def test_one_that_cannot_renew_the_lease_acts_no_more_and_ends(kubectl: Kubectl, start: Start) -> None:
    kubectl.within(NAMESPACE)("delete", "lease", LEASE, "--ignore-not-found")
    with start() as operator:
        operator.wait_until_it_acts()
        kubectl.within(NAMESPACE)("delete", "rolebinding", "mtj-operator-lease")
        try:
            eventually(lambda: not leads(operator), 60)
            assert operator.wait(120) == 1
            assert "could not be renewed" in operator.log.read_text()
        finally:
            role = ("--role=mtj-operator-lease", f"--serviceaccount={NAMESPACE}:mtj-operator")
            kubectl.within(NAMESPACE)("create", "rolebinding", "mtj-operator-lease", *role)
    kubectl.within(NAMESPACE)("delete", "lease", LEASE)
