"""Wrong jobs are refused when they are applied, each with a sentence that says what to write instead."""

from __future__ import annotations

import uuid

import pytest
import yaml

from mtj_api import JobError, parse_job
from mtj_operator.plan import on_cluster
from support.kubectl import KubectlError
from support.kubernetes_api import ApiServer
from support.verdict import Judge
from support.wrong_jobs import FAILED_AT_ONCE, REFUSED_AT_APPLY, WrongJob

at_apply = pytest.mark.parametrize("job", REFUSED_AT_APPLY, ids=lambda job: job.name)
later = pytest.mark.parametrize("job", FAILED_AT_ONCE, ids=lambda job: job.name)


@at_apply
def test_a_wrong_job_is_refused_with_one_sentence(job: WrongJob, judge: Judge) -> None:
    (fault,) = judge.faults(yaml.safe_load(job.text))
    assert job.sentence in fault


@at_apply
def test_it_is_refused_before_it_gets_to_a_cluster_too(job: WrongJob) -> None:
    with pytest.raises(JobError):
        parse_job(job.text)


def test_kubectl_prints_the_sentence_and_makes_nothing(api_server: ApiServer, judge: Judge) -> None:
    namespace = f"wrong-{uuid.uuid4().hex[:8]}"
    api_server.kubectl("create", "namespace", namespace)
    kubectl = api_server.kubectl.within(namespace)
    for job in REFUSED_AT_APPLY[:4]:
        with pytest.raises(KubectlError) as refused:
            kubectl("apply", "--filename=-", stdin=job.text)
        assert job.sentence in str(refused.value)
    assert kubectl.list("mtj") == []


@later
def test_what_depends_on_the_cluster_or_the_data_is_taken(job: WrongJob, judge: Judge) -> None:
    assert judge.faults(yaml.safe_load(job.text)) == []


@pytest.mark.parametrize("job", [job for job in FAILED_AT_ONCE if not job.stage], ids=lambda job: job.name)
def test_what_no_pod_is_needed_for_is_refused_before_there_is_one(job: WrongJob) -> None:
    with pytest.raises(JobError) as refused:
        on_cluster(parse_job(job.text).job)
    assert job.sentence in str(refused.value)


def test_there_are_twenty_and_more() -> None:
    assert len(REFUSED_AT_APPLY) > 20
    assert len({job.resource for job in (*REFUSED_AT_APPLY, *FAILED_AT_ONCE)}) == len(REFUSED_AT_APPLY + FAILED_AT_ONCE)
