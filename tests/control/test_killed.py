"""Killed with SIGKILL after every single write to the API server in turn, a job ends as if nothing had happened.

One life of the operator makes one write and dies: either right before it learns that the write was carried out, or
right after. So the lives together begin from the state after every single write that an undisturbed run makes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from support.api_proxy import ApiProxy, Write, standing_between
from support.kubectl import Kubectl
from support.kubelets import ATTEMPT_LABEL, STAGE_LABEL, Fate, Kubelet, done
from support.kubernetes_api import ApiServer
from support.kubernetes_http import Http
from support.operated_jobs import document, status
from support.operator_process import NAMESPACE, Operator, Start
from support.witness import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MOST_LIVES = 200
TWO_NODES = document(
    dataset={"source": "s3://music/raw", "workers": {"nodes": 2}},
    training={"nodes": 2},
    scheduling={"retries": {"train": 1}},
)
OVER = ("Succeeded", "Failed")


class Fates:
    """Every stage does its work, but training crashes once; nothing ends before the status says that it runs.

    Args:
        http: the API server.
        namespace: where the job is.
    """

    def __init__(self, http: Http, namespace: str) -> None:
        self._http = http
        self._job = f"/apis/training.discomusica.io/v1alpha1/namespaces/{namespace}/musictrainingjobs/chorales"

    def __call__(self, pod: Mapping[str, Any]) -> Fate:
        labels = pod["metadata"]["labels"]
        stage, attempt = labels[STAGE_LABEL], int(labels[ATTEMPT_LABEL])
        rows = self._http("GET", self._job).get("status", {}).get("stages", [])
        if not any((row["name"], row["attempt"], row["state"]) == (stage, attempt, "Running") for row in rows):
            return Fate(code=None)
        return Fate(code=1, message="out of luck") if (stage, attempt) == ("train", 1) else done(pod)


@pytest.fixture
def proxy(cluster: ApiServer) -> Iterator[ApiProxy]:
    with standing_between(cluster) as found:
        yield found


def steady(value: Any) -> Any:
    """The same without what differs from run to run: times and uids."""
    if isinstance(value, dict):
        return {name: steady(one) for name, one in value.items() if not name.endswith(("Time", "uid"))}
    if isinstance(value, list):
        return [steady(one) for one in value]
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", value) if isinstance(value, str) else value


def outcome(kubectl: Kubectl) -> dict[str, Any]:
    """All that is left of a job: its status, its children, and what was told of it."""
    owner = kubectl.get("mtj", "chorales")["metadata"]["uid"]
    made = {}
    for kind in ("configmap", "service", "job"):
        for one in kubectl.list(kind, "app.kubernetes.io/managed-by=mtj-operator"):
            metadata = one["metadata"]
            assert [reference["uid"] for reference in metadata["ownerReferences"]] == [owner]
            what = {"labels": metadata["labels"], "data": one.get("data"), "spec": one.get("spec")}
            made[f"{kind}/{metadata['name']}"] = _without_uids(what, {owner: "OWNER", metadata["uid"]: "OWN"})
    events = [one for one in kubectl.list("events") if one["involvedObject"]["uid"] == owner]
    told = sorted([one["type"], one["reason"], one["message"]] for one in events)
    return {name: steady(found) for name, found in {"status": status(kubectl), "made": made, "told": told}.items()}


def _without_uids(value: Any, names: Mapping[str, str]) -> Any:
    text = json.dumps(value)
    for uid, name in names.items():
        text = text.replace(uid, name)
    return json.loads(text)


def run_undisturbed(kubectl: Kubectl, start: Start, proxy: ApiProxy) -> tuple[dict[str, Any], int]:
    """The outcome, and how many writes that changed something it took."""
    proxy.writes.clear()
    with start(url=proxy.url) as operator:
        kubectl.apply(TWO_NODES)
        eventually(lambda: status(kubectl).get("state") in OVER, 300)
        eventually(lambda: operator.metric("mtj_operator_queue_depth") == 0.0)
        assert operator.terminate() == 0
    return outcome(kubectl), sum(write.changed for write in proxy.writes)


class Lives:
    """Operators, one after the other, each of which is killed at the first write by which it changes something.

    Args:
        start: starts one.
        proxy: between them and the API server.
        http: the API server itself.
    """

    def __init__(self, start: Start, proxy: ApiProxy, http: Http) -> None:
        self._start = start
        self._proxy = proxy
        self._http = http
        self._alive: Operator | None = None

    def kill(self, write: Write) -> None:
        """Kill the one that is alive, if its write changed anything: the next one makes the others again."""
        if self._alive is not None and write.changed:
            os.kill(self._alive.pid, signal.SIGKILL)

    def live(self, is_over: Callable[[], bool]) -> bool:
        """One life; whether it went on until the end of the story without a write."""
        with self._start(url=self._proxy.url, quick=True) as operator:
            self._alive = operator
            eventually(lambda: operator.has_ended() or (is_over() and self._is_idle(operator)), 300)
            killed = operator.has_ended()
            assert not killed or operator.wait() == -signal.SIGKILL, operator.log.read_text()
            self._alive = None
        self._take_the_lease_away()
        return not killed

    @staticmethod
    def _is_idle(operator: Operator) -> bool:
        looked = operator.metric("mtj_operator_reconcile_seconds_count") >= 1.0
        return looked and operator.metric("mtj_operator_queue_depth") == 0.0

    def _take_the_lease_away(self) -> None:
        """So that the next need not wait for its end."""
        with suppress(urllib.error.HTTPError):
            self._http("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/mtj-operator")


@pytest.mark.parametrize("answered", [False, True], ids=["before it knows", "after it knows"])
def test_killed_after_every_single_write_it_ends_like_an_undisturbed_run(
    kubectl: Kubectl, http: Http, start: Start, proxy: ApiProxy, answered: bool
) -> None:
    with Kubelet(http, kubectl.namespace, Fates(http, kubectl.namespace)).working():
        expected, writes = run_undisturbed(kubectl, start, proxy)
        kubectl("delete", "mtj", "chorales", "--timeout=30s")
        eventually(lambda: not kubectl.list("pods") and not kubectl.list("jobs"))
        lives = Lives(start, proxy, http)
        if answered:
            proxy.after_answer = lives.kill
        else:
            proxy.on_write = lives.kill
        kubectl.apply(TWO_NODES)
        lived = 1
        while not lives.live(lambda: status(kubectl).get("state") in OVER):
            lived += 1
            assert lived < MOST_LIVES, [str(write) for write in proxy.writes[-20:]]
    assert lived > writes // 2  # what is told of a wait may be over before a new life has begun
    found = outcome(kubectl)
    for part, was in expected.items():
        assert found[part] == was, part
