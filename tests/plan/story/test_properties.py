"""Whatever is seen: no state of a cluster raises, repeats itself, forgets what was counted, or has two writers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_api.contract import ExitCode
from mtj_api.status import ElasticStatus, JobStatus, StageStatus
from mtj_operator.plan import STAGES
from mtj_operator.plan.observed import GpuIdleness, JobSnapshot, Observed, PodSnapshot, TrainingProgress
from mtj_operator.plan.story import Decision, decide
from mtj_operator.plan.story.clock import rfc3339
from mtj_operator.plan.story.course import is_under_way
from mtj_operator.plan.story.reading import remembered
from mtj_operator.plan.story.seen import is_alive
from support.cluster_model import ClusterModel, Lag
from support.fates import Fate
from support.sightings import NOW, UID, resource
from support.stories import SETTINGS, Story, play, spec

times = st.integers(-400, 400).map(lambda seconds: NOW + seconds)
stamps = st.none() | times.map(rfc3339) | st.just("yesterday")
attempts = st.integers(0, 4)
codes = st.sampled_from([None, *ExitCode, 137, 143])
words = st.sampled_from(
    ["", "the disk is full", '{"figures": {"a": 1}}', '{"checkpoint": {"step": 3, "url": "s3://c"}}']
)


elastics = st.none() | st.builds(
    ElasticStatus, nodes=st.integers(1, 3), reason=st.sampled_from(["", "no room"]), grow_time=stamps, shrinks=attempts
)
ELASTIC = {"training": {"nodes": 2, "minNodes": 1}}


@st.composite
def rows(draw: st.DrawFn) -> list[StageStatus]:
    """Rows as they come about: stages that are done, one that may be anything, and stages that wait."""
    current = draw(st.integers(0, 4))
    found = [StageStatus(name=name, state="Succeeded", attempt=1) for name in STAGES[:current]]
    found.append(
        StageStatus(
            name=STAGES[current],
            state=draw(st.sampled_from(["Waiting", "Pending", "Running", "Retrying", "Suspended", "Succeeded"])),
            attempt=draw(attempts),
            retries=draw(attempts),
            disruptions=draw(attempts),
            start_time=draw(stamps),
            retry_time=draw(stamps),
            elastic=draw(elastics),
        )
    )
    return [*found, *(StageStatus(name=name) for name in STAGES[current + 1 :])]


@st.composite
def statuses(draw: st.DrawFn) -> JobStatus:
    return JobStatus(
        observed_generation=draw(st.integers(0, 2)),
        state=draw(st.sampled_from(["Pending", "Queued", "Running", "Suspended", "Succeeded", "Failed"])),
        start_time=draw(stamps),
        completion_time=draw(stamps),
        stages=draw(st.just([]) | rows()),
    )


@st.composite
def jobs(draw: st.DrawFn) -> JobSnapshot:
    stage, attempt = draw(st.sampled_from(STAGES[:3])), draw(attempts)
    end = draw(st.sampled_from(["", "", "", "succeeded", "failed", "failing"]))
    return JobSnapshot(
        name=draw(
            st.sampled_from(
                [f"chorales-{stage}-{attempt}"] * 9
                + [f"chorales-room-{attempt}"] * 3
                + ["chorales-tune-1", "other", ""]
            )
        ),
        uid=draw(st.uuids()).hex,
        owner=draw(st.sampled_from([UID, UID, UID, "uid-of-an-earlier-job", ""])),
        stage=stage,
        attempt=attempt,
        pods=draw(st.integers(1, 3)),
        created=draw(times),
        started=draw(st.none() | times),
        ended=draw(st.none() | times),
        **({end: True} if end else {}),
        reason=draw(st.sampled_from(["", "PodFailurePolicy", "BackoffLimitExceeded"])),
        message=draw(st.sampled_from(["", "failed with exit code 65 matching", "failed with exit code 75 matching"])),
        failed_indexes=draw(st.sampled_from([frozenset(), frozenset({0}), frozenset({1})])),
        suspended=draw(st.booleans()),
        deleted=draw(st.booleans()),
    )


@st.composite
def pods(draw: st.DrawFn) -> PodSnapshot:
    stage, attempt, index = draw(st.sampled_from(STAGES[:3])), draw(attempts), draw(st.integers(-1, 2))
    phase = draw(st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]))
    return PodSnapshot(
        name=draw(st.uuids()).hex,
        job=f"chorales-{draw(st.sampled_from([stage] * 4 + ['room']))}-{attempt}",
        stage=stage,
        attempt=attempt,
        index=index,
        phase=phase,
        node=draw(st.sampled_from(["", "node-1"])),
        started=draw(st.none() | times),
        exit_code=draw(codes) if phase in ("Succeeded", "Failed") else None,
        exit_reason=draw(st.sampled_from(["", "OOMKilled", "Error"])),
        exit_message=draw(words),
        disrupted=draw(st.sampled_from(["", "", "preempted"])),
        waiting=draw(st.sampled_from([("", ""), ("Unschedulable", "no room"), ("ErrImagePull", "")])),
        deleted=draw(st.booleans()),
        vanishes=draw(st.none() | times),
        uid=draw(st.uuids()).hex,
        unschedulable=draw(st.none() | times),
        silent=draw(st.booleans()),
    )


progress = st.builds(
    TrainingProgress,
    job=st.sampled_from(["chorales-train-1", "chorales-train-2", ""]),
    told=times,
    step=st.integers(-1, 2000),
    of=st.integers(-1, 1000),
    loss=st.none() | st.floats(),
    tokens_per_second=st.none() | st.floats(),
    eta_seconds=st.none() | st.floats(),
    checkpoint_step=st.none() | st.integers(0, 1000),
    checkpoint_url=st.just("s3://c"),
    gpu_idle=st.none() | st.builds(GpuIdleness, below=st.sampled_from([10, 50]), seconds=st.sampled_from([0.0, 1e4])),
)
schedulings = st.fixed_dictionaries(
    {},
    optional={
        "suspend": st.booleans(),
        "queue": st.just("music"),
        "deadlineSeconds": st.sampled_from([1, 300]),
        "ttlSecondsAfterFinished": st.sampled_from([0, 300]),
        "idleGpus": st.fixed_dictionaries({"action": st.sampled_from(["warn", "suspend", "fail"])}),
        "retries": st.fixed_dictionaries({}, optional={"train": attempts, "disruptions": attempts}),
    },
)


@st.composite
def sightings(draw: st.DrawFn) -> Observed:
    parts: dict[str, Any] = draw(st.sampled_from([{}, ELASTIC, {"model": {"from": {"job": "base"}}}]))
    asked: Any = draw(
        st.one_of(schedulings.map(lambda found: spec(scheduling=found, **parts)), st.sampled_from([{}, [], "?"]))
    )
    status: Any = draw(statuses() | st.sampled_from(["", "no JSON", {"state": "Odd"}]))
    return Observed(
        resource=resource(spec=asked, status=status, deleted=draw(st.sampled_from([False] * 9 + [True]))),
        jobs=tuple(draw(st.lists(jobs(), max_size=4, unique_by=lambda job: job.name))),
        pods=tuple(draw(st.lists(pods(), max_size=4))),
        progress=draw(st.none() | progress),
        refusals=draw(st.sampled_from([{}, {"chorales-train-1": "exceeded quota"}])),
        others={"base": resource(spec=spec(output="s3://music/base"), status=draw(statuses()))},
    )


def after(observed: Observed, decision: Decision) -> Observed:
    written = json.loads(decision.status.model_dump_json(by_alias=True, exclude_none=True))
    return replace(observed, resource=replace(observed.resource, status=json.dumps(written)))


def rows_before(observed: Observed) -> list[StageStatus]:
    return remembered(observed.resource).stages


def names_made(decision: Decision) -> list[str]:
    """Of attempts; a Job that holds room is none."""
    names = [child.object["metadata"]["name"] for child in decision.children if child.object["kind"] == "Job"]
    return [name for name in names if not name.startswith("chorales-room-")]


@settings(max_examples=150, deadline=None)
@given(sightings())
def test_its_own_status_is_answered_with_the_same_status(observed: Observed) -> None:
    first = decide(observed, SETTINGS, NOW)
    second = decide(after(observed, first), SETTINGS, NOW)
    assert second.status.model_dump_json(by_alias=True) == first.status.model_dump_json(by_alias=True)
    assert second.events == ()


@settings(max_examples=150, deadline=None)
@given(sightings())
def test_what_was_counted_and_done_stays_so(observed: Observed) -> None:
    before, decision = remembered(observed.resource), decide(observed, SETTINGS, NOW)
    found = {row.name: row for row in decision.status.stages}
    for row in before.stages:
        now = found.get(row.name, row)
        assert (now.attempt, now.retries, now.disruptions) >= (row.attempt, row.retries, row.disruptions)
        assert now.retries >= row.retries
        assert now.disruptions >= row.disruptions
        assert now.state == "Succeeded" or row.state != "Succeeded"
    if before.state in ("Succeeded", "Failed"):
        assert decision.status.state == before.state
        assert decision.children == ()


@settings(max_examples=150, deadline=None)
@given(sightings())
def test_one_job_is_made_at_a_time_and_only_while_no_pod_may_write(observed: Observed) -> None:
    decision = decide(observed, SETTINGS, NOW)
    made = names_made(decision)
    assert len(made) <= 1
    if made:
        done = {job.name for job in observed.jobs if job.succeeded and job.owner == UID}
        writers = [pod for pod in observed.pods if not pod.job.startswith("chorales-room-") and pod.job not in done]
        assert not [pod for pod in writers if is_alive(pod, NOW)]
        assert not [pod for pod in observed.pods if pod.job == made[0]]
        assert made[0] not in {job.name for job in observed.jobs}


@settings(max_examples=150, deadline=None)
@given(sightings())
def test_only_own_jobs_are_deleted_and_never_the_one_under_way(observed: Observed) -> None:
    decision = decide(observed, SETTINGS, NOW)
    own = {("Job", job.name, job.uid) for job in observed.jobs if job.owner == UID}
    lost = {pod.job for pod in observed.pods if pod.deleted and pod.silent}
    cut_off = {("Pod", pod.name, pod.uid) for pod in observed.pods if pod.job in lost}
    assert {(deletion.kind, deletion.name, deletion.uid) for deletion in decision.deletions} <= own | cut_off
    under_way = {f"chorales-{row.name}-{row.attempt}" for row in rows_before(observed) if is_under_way(row)}
    if remembered(observed.resource).state not in ("Succeeded", "Failed"):
        assert under_way.isdisjoint(deletion.name for deletion in decision.deletions)


fates = st.builds(
    Fate,
    code=st.sampled_from([0, 0, 1, 69, 75, 137, None]),
    after=st.integers(1, 9),
    disrupted=st.sampled_from(["", "", "", "preempted"]),
    lost=st.sampled_from([False] * 4 + [True]),
    stop=st.sampled_from([(75, ""), (143, ""), (0, "")]),
)
acts: st.SearchStrategy[Callable[[ClusterModel], object]] = st.sampled_from(
    [
        lambda cluster: cluster.edit(suspend=True),
        lambda cluster: cluster.edit(suspend=False),
        lambda cluster: cluster.delete_jobs(1),
        lambda cluster: cluster.preempt(),
        lambda cluster: cluster.admit(),
    ]
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.tuples(st.sampled_from(STAGES[:3]), st.integers(1, 3), st.integers(0, 1)), fates),
    st.dictionaries(st.integers(0, 60), acts, max_size=4),
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)),
    st.none() | st.integers(1, 60),
)
def test_whatever_happens_a_job_comes_to_an_end_and_never_has_two_writers(
    unusual: dict[tuple[str, int, int], Fate],
    done: dict[int, Callable[[ClusterModel], object]],
    lag: Lag,
    kill_at: int | None,
) -> None:
    def fate(stage: str, attempt: int, index: int) -> Fate:
        found = unusual.get((stage, attempt, index), Fate())
        return found if found.code is not None or found.disrupted or found.lost else replace(found, after=9, code=1)

    freed = {100: lambda cluster: cluster.edit(suspend=False), 101: lambda cluster: cluster.admit()}
    story = Story(fates=fate, acts={**done, **freed}, seconds=4000)
    cluster = play(story, kill_at=kill_at, lag=lag)
    assert cluster.status["state"] in ("Succeeded", "Failed")
    assert not [job.name for job in cluster.jobs.values() if job.ended is None]
