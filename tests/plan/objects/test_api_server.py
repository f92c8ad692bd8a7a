"""What a real API server says to the objects of a job, in a namespace under Pod Security "restricted"."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from mtj_api import JobError, MusicTrainingJob
from mtj_operator.plan.objects import Object, Owner, children, stages_on_cluster
from mtj_operator.plan.settings import ClusterSettings
from support.arbitrary_jobs import jobs
from support.cluster_plans import CASES, Case

pytestmark = pytest.mark.slow  # an API server has to start

GANGS = ClusterSettings(trainer_image="trainer:1", gangs=True)


def pod(job: Object) -> Object:
    """A pod as the Job would make it."""
    template = job["spec"]["template"]
    metadata = {**template["metadata"], "name": "one", "namespace": job["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_it_takes_every_object_without_a_warning(case: Case, restricted: Any) -> None:
    objects = case.objects(*(stage.name for stage in case.plan.stages), namespace=restricted.namespace)
    assert {one["kind"] for one in objects} >= {"ConfigMap", "Job"}
    for one in objects:
        assert restricted.complaints(one) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_it_admits_the_pods_of_every_job(case: Case, restricted: Any) -> None:
    objects = case.objects(*(stage.name for stage in case.plan.stages), namespace=restricted.namespace)
    for job in (one for one in objects if one["kind"] == "Job"):
        assert restricted.complaints(pod(job)) == []


def test_it_would_not_admit_less_restricted_pods(restricted: Any) -> None:
    (case,) = (case for case in CASES if case.folder.name == "full")
    *_, job = case.objects("train", namespace=restricted.namespace)
    job["spec"]["template"]["spec"]["securityContext"].pop("seccompProfile")
    (warning,) = restricted.complaints(job)
    assert "would violate PodSecurity" in warning
    assert "seccompProfile" in restricted.complaints(pod(job))[0]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(job=jobs())
def test_it_takes_whatever_passes_the_plan(restricted: Any, job: MusicTrainingJob) -> None:
    """So that no job fails after hours at a stage whose objects the API server refuses."""
    try:
        stages = stages_on_cluster(job, GANGS).stages
    except JobError:
        assume(False)
    owner = Owner(restricted.namespace, job.metadata.name, "1-2-3")
    for stage in stages:
        for child in children(job, owner, stage, 999, GANGS):
            assert restricted.complaints(child.object) == []
        template = child.object["spec"]["template"]["spec"]
        for elsewhere in ("serviceAccountName", "priorityClassName"):  # names of what is not there
            template.pop(elsewhere, None)
        assert restricted.complaints(pod(child.object)) == []
