"""Jobs from Git, brought by Flux's own controllers, with the operator beside them; the test plays the kubelets."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import yaml

from support.flux import Pipeline
from support.git_server import Repository
from support.kubectl import REPOSITORY, Kubectl
from support.kubelets import Fate, Kubelet, done
from support.kubernetes_http import Http
from support.operated_jobs import document, wait_for, wait_for_job
from support.operator_process import Start
from support.witness import eventually

pytestmark = [pytest.mark.on_demand, pytest.mark.slow]

FILE = "jobs/chorales.yaml"
GUIDE = REPOSITORY / "docs/guides/gitops.md"
WRONG = "s3://music/raw: there is no music here; name another dataset.source"


def job(**spec: Any) -> str:
    """A job as a file in Git."""
    return yaml.safe_dump(document(**spec))


def runs_on(_pod: Mapping[str, Any]) -> Fate:
    return Fate(code=None)


Piped = Callable[..., AbstractContextManager[Pipeline]]
Operated = Callable[[Callable[[Mapping[str, Any]], Fate]], AbstractContextManager[None]]


@pytest.fixture
def piped(flux: Kubectl, kubectl: Kubectl, repository: Repository) -> Piped:
    """The pipeline that ships, for the repository and the test's namespace; its spec gets what is given besides."""

    @contextmanager
    def running(**spec: Any) -> Iterator[Pipeline]:
        pipeline = Pipeline(flux, kubectl.namespace, repository.url, **spec)
        try:
            yield pipeline
        finally:
            pipeline.end()

    return running


@pytest.fixture
def operated(kubectl: Kubectl, http: Http, start: Start) -> Operated:
    """The operator, and a kubelet that lets pods fare as it is told."""

    @contextmanager
    def running(fate: Callable[[Mapping[str, Any]], Fate]) -> Iterator[None]:
        with start(), Kubelet(http, kubectl.namespace, fate).working():
            yield

    return running


def marks(kubectl: Kubectl) -> dict[str, str]:
    """What a write of Flux's or the operator's would change: the versions of the job and of all that was made for it.

    Of a Job it is the number, as its controller writes to its status.
    """
    kinds = {"mtj": "resourceVersion", "configmaps": "resourceVersion", "services": "resourceVersion", "jobs": "uid"}
    return {
        f"{kind}/{one['metadata']['name']}": one["metadata"][mark]
        for kind, mark in kinds.items()
        for one in kubectl.list(kind)
        if one["metadata"]["name"].startswith("chorales")
    }


def children(kubectl: Kubectl) -> list[str]:
    return [one["metadata"]["name"] for one in kubectl.list("jobs")]


def test_the_same_manifest_again_changes_nothing(
    kubectl: Kubectl, repository: Repository, piped: Piped, operated: Operated
) -> None:
    with operated(runs_on), piped() as pipeline:
        assert pipeline.carry(repository.commit({FILE: job()}))[0] == "True"
        wait_for(kubectl, lambda found: found.get("state") == "Running")
        before = marks(kubectl)
        assert {"mtj/chorales", "jobs/chorales-prepare-1", "configmaps/chorales-job"} <= before.keys()
        assert pipeline.carry(repository.commit({FILE: "# The same.\n" + job()}))[0] == "True"
        assert pipeline.carry(repository.commit({"README.md": "Nothing of Flux's.\n"}))[0] == "True"
        assert marks(kubectl) == before


def test_a_job_that_is_no_longer_in_git_goes_with_all_that_was_made_for_it(
    kubectl: Kubectl, repository: Repository, piped: Piped, operated: Operated
) -> None:
    with operated(runs_on), piped() as pipeline:
        other = yaml.safe_dump(document("evening"))
        pipeline.carry(repository.commit({FILE: job(), "jobs/evening.yaml": other}))
        wait_for(kubectl, lambda found: found.get("state") == "Running")
        wait_for(kubectl, lambda found: found.get("state") == "Running", "evening")
        assert pipeline.carry(repository.commit({FILE: None}))[0] == "True"
        eventually(lambda: marks(kubectl) == {})
        assert [one["metadata"]["name"] for one in kubectl.list("mtj")] == ["evening"]
        assert children(kubectl) == ["evening-prepare-1"]


def test_a_change_of_what_a_job_does_is_refused_and_the_pipeline_says_why(
    kubectl: Kubectl, repository: Repository, piped: Piped, operated: Operated
) -> None:
    with operated(runs_on), piped() as pipeline:
        pipeline.carry(repository.commit({FILE: job(training={"steps": 100})}))
        wait_for(kubectl, lambda found: found.get("state") == "Running")
        before = marks(kubectl)
        ready, message = pipeline.carry(repository.commit({FILE: job(training={"steps": 200})}))
        assert ready == "False"
        assert "training is fixed once a job is created" in message
        assert "apply it as a job of another name" in message
        assert marks(kubectl) == before
        assert pipeline.carry(repository.commit({FILE: job(training={"steps": 100})}))[0] == "True"
        assert marks(kubectl) == before


def test_a_job_that_cannot_work_is_refused_and_the_pipeline_says_why(repository: Repository, piped: Piped) -> None:
    with piped() as pipeline:
        wrong = job(training={"strategy": "lora"})
        ready, message = pipeline.carry(repository.commit({FILE: wrong}))
        assert ready == "False"
        assert "give these together, or leave strategy out" in message


def test_suspending_in_git_stops_the_pods_and_going_on_with_a_change_is_a_new_attempt(
    kubectl: Kubectl, repository: Repository, piped: Piped, operated: Operated
) -> None:
    with operated(runs_on), piped() as pipeline:
        pipeline.carry(repository.commit({FILE: job(scheduling={"image": "trainer:1"})}))
        wait_for(kubectl, lambda found: found.get("state") == "Running")
        pipeline.carry(repository.commit({FILE: job(scheduling={"image": "trainer:1", "suspend": True})}))
        wait_for(kubectl, lambda found: found.get("state") == "Suspended")
        assert children(kubectl) == []
        assert pipeline.carry(repository.commit({FILE: job(scheduling={"image": "trainer:2"})}))[0] == "True"
        (container,) = wait_for_job(kubectl, "chorales-prepare-2")["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "trainer:2"


def test_a_job_that_was_suspended_by_hand_stays_so(
    kubectl: Kubectl, repository: Repository, piped: Piped, operated: Operated
) -> None:
    with operated(runs_on), piped() as pipeline:
        pipeline.carry(repository.commit({FILE: job()}))
        wait_for(kubectl, lambda found: found.get("state") == "Running")
        by_hand = ("--field-manager=by-hand", "--type=merge", '--patch={"spec":{"scheduling":{"suspend":true}}}')
        kubectl("patch", "mtj/chorales", *by_hand)
        wait_for(kubectl, lambda found: found.get("state") == "Suspended")
        before = marks(kubectl)
        assert pipeline.carry(repository.commit({"README.md": "Nothing of Flux's.\n"}))[0] == "True"
        assert marks(kubectl) == before


def test_a_pipeline_that_waits_until_training_has_begun_is_ready_then(
    kubectl: Kubectl, repository: Repository, piped: Piped, operated: Operated
) -> None:
    (block,) = re.findall(r"^ {4}healthCheckExprs:\n(?: {6}.*\n)+", GUIDE.read_text(), re.MULTILINE)
    more = yaml.safe_load(textwrap.dedent(block))
    with operated(runs_on), piped(wait=True, timeout="2m", **more) as pipeline:
        assert pipeline.carry(repository.commit({FILE: job()}))[0] == "True"
        assert wait_for(kubectl, lambda found: "state" in found)["state"] == "Running"


def test_a_pipeline_that_waits_is_ready_when_its_jobs_are_done(
    kubectl: Kubectl, repository: Repository, piped: Piped, operated: Operated
) -> None:
    with operated(done), piped(wait=True, timeout="2m") as pipeline:
        assert pipeline.carry(repository.commit({FILE: job()}))[0] == "True"
        assert wait_for(kubectl, lambda found: found["state"] == "Succeeded")["observedGeneration"] == 1


def test_a_pipeline_that_waits_says_which_job_failed(
    kubectl: Kubectl, repository: Repository, piped: Piped, operated: Operated
) -> None:
    with operated(lambda _: Fate(code=65, message=WRONG)), piped(wait=True, timeout="2m") as pipeline:
        ready, message = pipeline.carry(repository.commit({FILE: job()}))
        assert ready == "False"
        assert f"MusicTrainingJob/{kubectl.namespace}/chorales status: 'Failed'" in message
