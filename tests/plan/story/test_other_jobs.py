"""A job that takes its model or data from others waits for them, says so, and then keeps what it took."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_api.status import JobStatus, StageStatus
from mtj_operator.plan import STAGES
from mtj_operator.plan.observed import Observed, Resource
from mtj_operator.plan.story import Decision, decide
from mtj_operator.plan.story.words import for_good
from support.sightings import NOW, job, resource, seen, status, train
from support.stories import SETTINGS, spec

FROM_CODEC = spec(model={"family": "musicgen", "codec": {"from": {"job": "codec"}}})
FROM_SONGS = spec(dataset={"from": {"job": "songs"}})
DONE = [StageStatus(name=name, state="Succeeded", attempt=1) for name in STAGES]


def other(name: str, status: JobStatus | str | None = None, **parts: Any) -> Resource:
    """Another job of the namespace, whose output is named like it."""
    made = {"spec": spec(output=f"s3://music/{name}"), "status": status or {}, **parts}
    return replace(resource(**made), name=name, uid=f"uid-of-{name}")


def unread(name: str) -> Resource:
    """One that is not written as jobs are."""
    return replace(other(name), spec="?", status="?")


def done(name: str, **parts: Any) -> Resource:
    return other(name, JobStatus(state="Succeeded", stages=DONE), **parts)


def at_train(name: str, state: Any = "Running") -> Resource:
    return other(name, status(train(), state=state))


def waiting(wanted: dict[str, Any], *others: Resource, before: JobStatus | None = None) -> Observed:
    return replace(seen(before, spec=wanted), others={one.name: one for one in others})


def after(observed: Observed, decision: Decision) -> Observed:
    written = json.loads(decision.status.model_dump_json(by_alias=True, exclude_none=True))
    return replace(observed, resource=replace(observed.resource, status=json.dumps(written)))


def places(decision: Decision) -> dict[str, Any]:
    """The spec that the pods get."""
    config = next(child.object for child in decision.children if child.object["kind"] == "ConfigMap")
    found: dict[str, Any] = json.loads(config["data"]["job.json"])["spec"]
    return found


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([], "does not exist"),
        ([done("codec", deleted=True)], "does not exist"),
        ([other("codec")], "has not begun"),
        ([at_train("codec")], "is at stage train"),
        ([at_train("codec", "Suspended")], "is suspended"),
        ([at_train("codec", "Failed")], "has failed at stage train; delete it and apply it anew"),
        ([other("codec", JobStatus(state="Failed"))], "has failed; delete it and apply it anew"),
        ([other("codec", JobStatus(state="Succeeded", stages=[DONE[0], DONE[3]]))], "trains no model"),
        ([unread("codec")], "has not begun"),
        ([at_train("codec"), done("songs")], "is at stage train"),
    ],
)
def test_it_says_whom_it_waits_for_and_where_that_stands(others: list[Resource], why: str) -> None:
    observed = waiting(FROM_CODEC, *others)
    decision = decide(observed, SETTINGS, NOW)
    found, row = decision.status, decision.status.stages[0]
    assert (found.state, found.message) == ("Pending", f"prepare: waits for job codec, which {why}")
    assert (row.state, row.attempt, found.sources) == ("Pending", 0, None)
    assert {(one.type, one.status, one.reason) for one in found.conditions} >= {
        ("Reconciling", "True", "WaitingForJob")
    }
    assert (decision.children, decision.waits_for, decision.requeue_after) == ((), ("codec",), None)
    again = decide(after(observed, decision), SETTINGS, NOW + 3600)
    assert again.status == found
    assert again.events == ()


def test_it_waits_for_each_of_several_jobs() -> None:
    both = {**FROM_SONGS, "model": FROM_CODEC["model"]}
    decision = decide(waiting(both, at_train("codec")), SETTINGS, NOW)
    assert decision.status.message == (
        "prepare: waits for job songs, which does not exist, and for job codec, which is at stage train"
    )
    assert decision.waits_for == ("songs", "codec")


def test_data_are_there_once_they_are_prepared() -> None:
    decision = decide(waiting(FROM_SONGS, at_train("songs", "Failed")), SETTINGS, NOW)
    assert decision.status.sources == {"songs": "s3://music/songs"}


def test_what_is_found_is_written_before_anything_is_made_of_it() -> None:
    observed = waiting(FROM_CODEC, done("codec"))
    first = decide(observed, SETTINGS, NOW)
    assert (first.children, first.waits_for) == ((), ())
    assert first.status.sources == {"codec": "s3://music/codec"}
    assert first.requeue_after is not None
    assert first.requeue_after < 1
    second = decide(after(observed, first), SETTINGS, NOW)
    assert places(second)["model"]["codec"] == {"url": "s3://music/codec/model"}
    assert second.status == first.status


@pytest.mark.parametrize("others", [[], [done("codec", spec=spec(output="s3://elsewhere"))], [at_train("codec")]])
def test_what_was_taken_up_stays_whatever_becomes_of_the_other(others: list[Resource]) -> None:
    taken = status(StageStatus(name="prepare"), sources={"codec": "s3://music/codec"})
    decision = decide(waiting(FROM_CODEC, *others, before=taken), SETTINGS, NOW)
    assert places(decision)["model"]["codec"] == {"url": "s3://music/codec/model"}
    assert decision.status.sources == taken.sources
    assert decision.waits_for == ()


def test_of_several_what_is_there_is_kept_while_the_rest_is_waited_for() -> None:
    both = {**FROM_SONGS, "model": FROM_CODEC["model"]}
    observed = waiting(both, done("songs"))
    first = decide(observed, SETTINGS, NOW)
    assert (first.status.sources, first.waits_for) == ({"songs": "s3://music/songs"}, ("codec",))
    later = after(replace(observed, others={"codec": done("codec")}), first)
    assert decide(later, SETTINGS, NOW).status.sources == {"songs": "s3://music/songs", "codec": "s3://music/codec"}


def test_an_attempt_that_is_under_way_though_its_sources_were_lost_goes_on() -> None:
    decision = decide(waiting(FROM_CODEC, before=status(train("Pending"))), SETTINGS, NOW)
    assert decision.status.state == "Pending"
    observed = replace(waiting(FROM_CODEC, before=status(train("Running"))), jobs=(job(),))
    assert decide(observed, SETTINGS, NOW).status.message == "train: waits for its pods"


def test_a_suspended_job_is_suspended() -> None:
    decision = decide(waiting({**FROM_CODEC, "scheduling": {"suspend": True}}), SETTINGS, NOW)
    assert decision.status.state == "Suspended"


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            "/codec",
            (
                "spec.model.codec.url: /codec/model lies on no volume that outlives a pod; write s3://bucket/prefix, "
                "or mount a persistentVolumeClaim there by scheduling.podTemplate.volumes"
            ),
        ),
        (
            "s3://music/out",
            (
                "spec.output: s3://music/out is the output of job codec too, and each would overwrite what the other "
                "writes; name another place"
            ),
        ),
    ],
)
def test_a_result_that_it_cannot_use_is_refused_before_the_wait(output: str, sentence: str) -> None:
    decision = decide(waiting(FROM_CODEC, other("codec", spec=spec(output=output))), SETTINGS, NOW)
    assert (decision.status.state, decision.status.message) == ("Failed", for_good(sentence))


def refers(name: str, *to: str, **parts: Any) -> Resource:
    """A job that takes its model from one and, if two are given, its data from the other."""
    fields = dict(zip(("model", "dataset"), ({"from": {"job": one}} for one in to), strict=False))
    return other(name, spec=spec(**fields, output=f"s3://music/{name}"), **parts)


CIRCLE = spec(model={"from": {"job": "a"}})


@pytest.mark.parametrize(
    ("others", "way"),
    [
        ([refers("a", "chorales")], "job a, which waits for job chorales"),
        ([refers("a", "b"), refers("b", "chorales")], "job a, which waits for job b, which waits for job chorales"),
        ([refers("a", "b", "c"), refers("b", "a"), refers("c", "chorales")], "job a, which waits for job c, which"),
    ],
)
def test_a_circle_is_refused(others: list[Resource], way: str) -> None:
    decision = decide(waiting(CIRCLE, *others), SETTINGS, NOW)
    assert decision.status.state == "Failed"
    assert decision.status.message.startswith(f"spec.model.from.job: this job waits for {way}")


@pytest.mark.parametrize(
    "others",
    [
        [refers("a", "a")],
        [refers("a", "b"), refers("b", "a")],
        [refers("a", "b"), refers("b", "gone")],
        [refers("a", "chorales", status=JobStatus(state="Failed"))],
        [refers("a", "chorales", status=JobStatus(sources={"chorales": "s3://earlier"}))],
    ],
)
def test_what_is_no_circle_through_this_job_is_waited_for(others: list[Resource]) -> None:
    decision = decide(waiting(CIRCLE, *others), SETTINGS, NOW)
    assert (decision.status.state, decision.waits_for) == ("Pending", ("a",))


def test_a_long_row_of_jobs_is_no_trouble() -> None:
    names = [f"job-{number}" for number in range(3000)]
    row = [refers(name, following, following) for name, following in itertools.pairwise(names)]
    decision = decide(waiting(spec(model={"from": {"job": names[0]}}), *row), SETTINGS, NOW)
    assert decision.status.state == "Pending"


states = st.sampled_from([None, other("codec"), at_train("codec"), at_train("codec", "Failed"), done("codec")])


@settings(max_examples=15, deadline=None)
@given(st.lists(states, max_size=5))
def test_in_whatever_order_the_two_come_about_the_end_is_the_same(sightings: list[Resource | None]) -> None:
    """The other job is seen in any states in any order, as both may be created, replaced and deleted at any time."""
    observed = waiting(FROM_CODEC)
    for sighting in [*sightings, done("codec")]:
        observed = replace(observed, others={} if sighting is None else {"codec": sighting})
        decision = decide(observed, SETTINGS, NOW)
        observed = after(observed, decision)
    assert places(decide(observed, SETTINGS, NOW))["model"]["codec"] == {"url": "s3://music/codec/model"}
