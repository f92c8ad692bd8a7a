"""``status``: what has become of a job, as the operator sees it. Written by the operator alone.

Invariant: true at the moment of its writing, and enough, with the job's children, to go on from: what the operator
must not forget (attempts, retries used, when a stage ended) is here and not in its memory. Texts are cut to their
bounds when they are written, as a status that the API server refuses would tell nobody anything.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

JobState = Literal["Pending", "Queued", "Running", "Suspended", "Succeeded", "Failed"]
StageState = Literal["Waiting", "Pending", "Running", "Retrying", "Suspended", "Succeeded", "Failed"]

SENTENCE_LENGTH = 4096
PLACE_LENGTH = 1200
FIGURES = 64
SOURCES = 8
"""Bounds of the status, in characters, in figures and in jobs."""

UNSEEN = {"observedGeneration": -1}
"""The status of a job that the operator has not seen. Without it, whoever goes by kstatus would take such a job for one
that is done, as it has no condition that says otherwise."""


def _finite(value: float | None) -> float | None:
    """JSON has no word for what is no number."""
    return value if value is not None and math.isfinite(value) else None


def _first_figures(figures: dict[str, float] | None) -> dict[str, float] | None:
    if figures is None:
        return None
    return dict([(name, value) for name, value in figures.items() if math.isfinite(value)][:FIGURES])


def _readable(value: float | None) -> float | None:
    return None if (finite := _finite(value)) is None else float(f"{finite:.4g}")


Sentence = Annotated[
    str,
    PlainSerializer(lambda text: text[:SENTENCE_LENGTH]),
    WithJsonSchema({"type": "string", "maxLength": SENTENCE_LENGTH}),
]
Place = Annotated[
    str,
    PlainSerializer(lambda url: url[:PLACE_LENGTH]),
    WithJsonSchema({"type": "string", "maxLength": PLACE_LENGTH}),
]
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339 in UTC, as ``2026-01-31T12:00:00Z``."""


def _by(key: str) -> dict[str, Any]:
    """Marks a list that Kubernetes merges by one of its fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


class StatusModel(BaseModel):
    """Base of every part of the status: tolerant, since a newer operator may have written it."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        use_attribute_docstrings=True,
        defer_build=True,
    )


class Condition(StatusModel):
    """A fact of the job that programs wait for, as `kubectl wait --for=condition=Succeeded` does."""

    type: str = Field(max_length=316)
    """Which fact: Succeeded, Reconciling, Stalled, GangScheduling or GPUsIdle."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    reason: str = Field(max_length=1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    """One word, for programs."""
    message: Sentence = ""
    """One sentence, for people."""
    last_transition_time: Time
    """Since when its status is what it is."""
    observed_generation: int
    """Which version of the spec it is about; kubectl wait passes over one that is about an older version."""


class ElasticStatus(StatusModel):
    """On how many nodes training goes on, in a job that may train on fewer than it asks for."""

    nodes: int = Field(default=1, ge=1)
    """Nodes of the attempt; while it is tried again, of the next."""
    reason: Sentence = ""
    """Why they are fewer than the job asks for."""
    grow_time: Time | None = None
    """From when on room for the others is looked for."""
    shrinks: int = Field(default=0, ge=0)
    """How often it went on with fewer; after each further time it looks for room later."""


class StageStatus(StatusModel):
    """What has become of one stage."""

    name: str = Field(max_length=16)
    """prepare, train, evaluate, report or publish."""
    state: StageState = "Waiting"
    """Waiting for the stages before it, Pending for its pods, Retrying for its next attempt, or as the job's."""
    attempt: int = Field(default=0, ge=0)
    """Which attempt is under way or was the last; 0 before the first."""
    retries: int = Field(default=0, ge=0)
    """Failures so far that counted against the stage's budget."""
    disruptions: int = Field(default=0, ge=0)
    """Lost nodes, preemptions and evictions so far, which did not."""
    quick_ends: int | None = Field(default=None, ge=0)
    """Attempts in a row that ended within five minutes; the pause before the next one grows with them."""
    out_of_memory: bool | None = None
    """Whether its last attempt that ended ran out of memory, which the next one is told."""
    start_time: Time | None = None
    """When its first pod ran."""
    completion_time: Time | None = None
    """When it succeeded or failed."""
    retry_time: Time | None = None
    """When its next attempt may start, while it is tried again."""
    elastic: ElasticStatus | None = None
    """Its number of nodes, where that may change."""
    message: Sentence = ""
    """Why it waits, is tried again, or failed."""


class Progress(StatusModel):
    """How far training has come, as its first process says."""

    step: int = 0
    """Optimizer steps done."""
    of: int = 0
    """Optimizer steps in all."""
    percent: str = Field(default="", max_length=8)
    """The part that is done, as 43%."""
    loss: Annotated[float | None, PlainSerializer(_readable)] = None
    """Training loss of the last logged steps, in nats a token, to four digits."""
    tokens_per_second: Annotated[float | None, PlainSerializer(_readable)] = None
    """Of all processes together."""
    eta_seconds: Annotated[float | None, PlainSerializer(_finite)] = None
    """How long training will still take at this pace."""
    updated: Time | None = None
    """When the process said so."""


class CheckpointStatus(StatusModel):
    """The last complete checkpoint: if everything stopped now, what came after it would be lost."""

    step: int = 0
    """Optimizer steps done when it was saved."""
    url: Place = ""
    """Where it lies."""
    time: Time | None = None
    """When its state was taken down."""


class Suspension(StatusModel):
    """The operator has suspended the job by itself: that lasts until the spec is changed."""

    reason: str = Field(max_length=64)
    """Why, in one word."""
    message: Sentence = ""
    """Why, in one sentence."""
    since: Time
    """When."""
    generation: int
    """The version of the spec that it is for; any later one lets the job go on."""


class OutputStatus(StatusModel):
    """Where the results lie, once they do."""

    model: Place | None = None
    """The published model, from which another job may go on by model.pretrained."""
    report: Place | None = None
    """The report, a page for a browser."""
    figures: Place | None = None
    """All figures as JSON."""


class JobStatus(StatusModel):
    """What has become of the job, as the operator sees it."""

    observed_generation: int = 0
    """Which version of the spec the rest is about; -1 until the operator has seen the job."""
    state: JobState = "Pending"
    """In a word; Pending waits for what the message names, Queued for Kueue."""
    stage: str = Field(default="", max_length=16)
    """The stage that is under way, or that failed."""
    message: Sentence = ""
    """What it does or waits for, or why it failed, in one sentence."""
    start_time: Time | None = None
    """When its first pod ran."""
    completion_time: Time | None = None
    """When it succeeded or failed."""
    nodes: str | None = Field(default=None, max_length=16)
    """Nodes that train and nodes that the job asks for, as 1 of 2, where it may train on fewer."""
    conditions: list[Condition] = Field(default_factory=list, max_length=16, json_schema_extra=_by("type"))
    """Facts that programs wait for."""
    stages: list[StageStatus] = Field(default_factory=list, max_length=8, json_schema_extra=_by("name"))
    """A row for each stage, in order."""
    suspension: Suspension | None = None
    """Why the operator has suspended the job, where it has."""
    sources: dict[str, Place] | None = Field(default=None, json_schema_extra={"maxProperties": SOURCES})
    """The outputs that it takes data and models from, by the name of the job that made them; fixed once they are
    here, whatever becomes of that job."""
    progress: Progress | None = None
    """How far training has come."""
    checkpoint: CheckpointStatus | None = None
    """The last complete checkpoint."""
    evaluation: Annotated[dict[str, float] | None, PlainSerializer(_first_figures)] = Field(
        default=None, json_schema_extra={"maxProperties": FIGURES}
    )
    """Key figures of the evaluation; all of them lie in the output's figures.json."""
    output: OutputStatus | None = None
    """Where the results lie."""
