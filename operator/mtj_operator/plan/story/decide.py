"""What to do for a job now: from its resource, its children and the time to objects, deletions, Events and status.

Level-triggered: whatever has happened since, and however often it is asked, the answer follows from what is there.
Invariants:

- Total and pure: no state of a cluster raises, and nothing but the arguments counts.
- A fixed point: its own status, with the same children at the same time, is answered with the same status.
- A child is made of the sources that are in the status as it was read, so that all attempts have the same.
- What a child proves is in the status before the child is deleted: ``deletions`` follow from the status as it was
  read, never from the one that is about to be written.
- ``Succeeded`` and ``Failed`` are final.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from mtj_api import JobError, MusicTrainingJob, resolved_job
from mtj_api.contract import OUT_OF_MEMORY_ENV
from mtj_api.status import Condition, JobState, JobStatus, StageStatus
from mtj_operator.plan.job_defaults import with_defaults
from mtj_operator.plan.objects import Child, Owner, children, room_beside, stages_on_cluster
from mtj_operator.plan.observed import Observed, Resource
from mtj_operator.plan.places import on_cluster
from mtj_operator.plan.settings import ClusterSettings
from mtj_operator.plan.sources import with_sources
from mtj_operator.plan.stages import Plan, Stage
from mtj_operator.plan.story import elastic
from mtj_operator.plan.story.clock import rfc3339, seconds_of
from mtj_operator.plan.story.conditions import conditions, facts, gang_scheduling
from mtj_operator.plan.story.course import Settled, Turn, go_on, settle
from mtj_operator.plan.story.decision import Decision, Deletion, StoryEvent
from mtj_operator.plan.story.idling import (
    GPUS_IDLE,
    Use,
    complaint,
    idling_facts,
    lasting,
    none_held,
    suspension,
    use_of,
)
from mtj_operator.plan.story.leftovers import cut_off_pods, leftovers
from mtj_operator.plan.story.marking import marks
from mtj_operator.plan.story.reading import remembered, seconds_to_keep, stage_names, wanted
from mtj_operator.plan.story.results import checkpoint_of, evaluation_of, output_of, progress_of
from mtj_operator.plan.story.seen import Seen, look
from mtj_operator.plan.story.sources import look_for
from mtj_operator.plan.story.telling import turns
from mtj_operator.plan.story.words import for_good

SOON = 0.1
"""Seconds until what was only waiting for the status to be written."""

FINAL = ("Succeeded", "Failed")
"""States of a job that it does not leave."""


def decide(observed: Observed, settings: ClusterSettings, now: float) -> Decision:
    """What to do now.

    Args:
        observed: all that is known of the job; its parts may lag behind each other and behind what was written.
        settings: the cluster's.
        now: seconds since 1970.
    """
    before, seen = remembered(observed.resource), look(observed, now)
    if observed.resource.deleted:
        return Decision(before)
    if before.state in FINAL:
        return _keep(observed.resource, before, seen)
    try:
        return _Chapter(observed, settings, before, seen).decide()
    except JobError as wrong:
        return _refuse(observed.resource, before, seen, str(wrong))


class _Chapter:
    """One decision for a job that is neither done nor failed."""

    def __init__(self, observed: Observed, settings: ClusterSettings, before: JobStatus, seen: Seen) -> None:
        self.resource = observed.resource
        self.told = observed.progress
        self.settings = settings
        self.before = before
        self.seen = seen
        self.job = with_defaults(wanted(observed.resource), settings.job_defaults)
        self.bounds = elastic.bounds_of(self.job)
        self.sources = look_for(self.job, observed.resource, before, observed.others)
        if before.observed_generation != observed.resource.generation or not before.stages:
            _ = self._plan  # refuses what no cluster can run
        self.suspension = lasting(before.suspension, observed.resource.generation)
        self.use = Use.UNKNOWN
        rows = {row.name: row for row in before.stages}
        self.rows = [rows.get(name, StageStatus(name=name)) for name in stage_names(self.job)]

    def decide(self) -> Decision:
        """The decision.

        Raises:
            JobError: the job is wrong.
        """
        settled, events = self._settle()
        if settled is None:
            output = output_of(on_cluster(self._resolved))
            status = self._status("Succeeded", "Succeeded", f"done: {output.report}", None)
            return self._decision(status.model_copy(update={"output": output}), events)
        stage = settled.row.name
        if settled.row.state == "Failed":
            return self._decision(self._failed(settled.row, settled.reason), events)
        if self._is_overdue():
            seconds = self.job.spec.scheduling.deadline_seconds
            why = f"it was not done within the {seconds} s of scheduling.deadlineSeconds; what it saved so far stays"
            return self._decision(self._failed(self._over(settled.row, why), "DeadlineExceeded"), events)
        scheduling = self.job.spec.scheduling
        self.use = use_of(scheduling.idle_gpus, self.told, settled.row, self.seen)
        if self.use is Use.IDLE and scheduling.idle_gpus.action == "fail":
            why = f"{complaint(scheduling.idle_gpus)}; what it saved so far stays"
            return self._decision(self._failed(self._over(settled.row, why), GPUS_IDLE), events)
        if self.use is Use.IDLE and scheduling.idle_gpus.action == "suspend" and not scheduling.suspend:
            self.suspension = suspension(scheduling.idle_gpus, self.resource.generation, self.seen.now)
        image = scheduling.image or self.settings.trainer_image
        turn = self._explained(go_on(settled, self.seen, scheduling, image, self.sources.message, self.suspension))
        self._put(turn.row)
        status = self._status(turn.state, turn.reason, f"{stage}: {turn.message}", turn.row)
        if self.sources.found:
            decision = self._decision(status, events, wake=self.seen.now)
        else:
            decision = self._decision(status, events, self._children(turn), turn.wake)
        return replace(decision, waits_for=self.sources.waits_for, marks=marks(status, self.seen))

    @cached_property
    def _resolved(self) -> MusicTrainingJob:
        """Made when it is needed: it takes longer than all the rest of a decision.

        Its places are those that its pods will have, so that one that they cannot reach is refused before the wait.
        """
        return with_sources(resolved_job(self.job), {**self.sources.expected, **self.sources.taken})

    @cached_property
    def _plan(self) -> Plan:
        return stages_on_cluster(self._resolved, self.settings)

    def _settle(self) -> tuple[Settled | None, list[StoryEvent]]:
        """The first stage that is not done, and what happened on the way to it; no stage where all are."""
        events: list[StoryEvent] = []
        for row in self.rows:
            if row.state == "Succeeded":
                continue
            settled = settle(row, self.seen, self.job.spec.scheduling)
            if self.bounds is not None and row.name == "train" and not self.job.spec.scheduling.suspend:
                settled = elastic.resized(settled, self.seen, self.bounds)
            events += settled.events
            self._put(settled.row)
            if settled.row.state != "Succeeded":
                return settled, events
        return None, events

    def _put(self, row: StageStatus) -> None:
        self.rows = [row if row.name == one.name else one for one in self.rows]

    def _explained(self, turn: Turn) -> Turn:
        """The turn, saying why it has fewer nodes than the job asks for."""
        if self.bounds is None or turn.row.state != "Running":
            return turn
        message = f"{turn.message}{elastic.explained(turn.row, self.seen, self.bounds)}"
        return replace(turn, message=message, row=turn.row.model_copy(update={"message": message}))

    def _children(self, turn: Turn) -> tuple[Child, ...]:
        owner = Owner(self.resource.namespace, self.resource.name, self.resource.uid)
        row = turn.row
        if turn.make:
            return children(self._resolved, owner, self._stage(row), turn.make, self.settings)
        missing = elastic.missing(row, self.seen, self.bounds) if self.bounds is not None else 0
        if not missing:
            return ()
        return (room_beside(self._resolved, owner, self._stage(row), row.attempt, missing, self.settings),)

    def _stage(self, row: StageStatus) -> Stage:
        """The stage of a row, on as many nodes as the row has, which is told if memory ran out before."""
        plan = self._plan
        if self.bounds is not None and row.elastic is not None and row.elastic.nodes < self.bounds.wanted:
            plan = stages_on_cluster(self._resolved, self.settings, row.elastic.nodes)
        planned = next(stage for stage in plan.stages if stage.name == row.name)
        if row.out_of_memory:
            planned = replace(planned, environment={**planned.environment, OUT_OF_MEMORY_ENV: "1"})
        return planned

    def _started(self) -> str | None:
        return self.before.start_time or min((row.start_time for row in self.rows if row.start_time), default=None)

    def _deadline(self) -> float | None:
        """When the job fails if it is not done. A suspended one is judged when it goes on."""
        scheduling = self.job.spec.scheduling
        if scheduling.deadline_seconds is None or scheduling.suspend or self.suspension is not None:
            return None
        started = seconds_of(self._started())
        return None if started is None else started + scheduling.deadline_seconds

    def _is_overdue(self) -> bool:
        deadline = self._deadline()
        return deadline is not None and self.seen.now >= deadline

    def _over(self, row: StageStatus, why: str) -> StageStatus:
        """The row of a stage that is ended now."""
        over = {"state": "Failed", "completion_time": rfc3339(self.seen.now), "retry_time": None, "message": why}
        return row.model_copy(update=over)

    def _failed(self, row: StageStatus, reason: str) -> JobStatus:
        self._put(row)
        why = f"{row.name}: {row.message}"
        status = self._status("Failed", reason, for_good(why) if reason == "WrongJob" else why, row)
        return status.model_copy(update={"completion_time": row.completion_time or rfc3339(self.seen.now)})

    def _status(self, state: JobState, reason: str, message: str, current: StageStatus | None) -> JobStatus:
        train = _row(self.rows, "train")
        progress = progress_of(self.before.progress, self.told, train, self.seen)
        told = self.told if progress is not self.before.progress else None
        idle_gpus, was, final = self.job.spec.scheduling.idle_gpus, self.before.conditions, state in FINAL
        found = (
            *facts(state, reason, message),
            *gang_scheduling(self.job, self.settings),
            *(none_held(was) if final else idling_facts(self.use, idle_gpus, self.suspension, train, was)),
        )
        generation = self.resource.generation
        return self.before.model_copy(
            update={
                "observed_generation": generation,
                "state": state,
                "stage": "" if current is None else current.name,
                "message": message,
                "start_time": self._started(),
                "completion_time": self.rows[-1].completion_time if current is None else None,
                "nodes": elastic.shown(train, self.bounds) if train is not None and self.bounds is not None else None,
                "conditions": conditions(was, found, generation, self.seen.now),
                "stages": self.rows,
                "suspension": None if final else self.suspension,
                "sources": {**self.sources.taken, **self.sources.found} or None,
                "progress": progress,
                "checkpoint": checkpoint_of(self.before.checkpoint, told, train, self.seen),
                "evaluation": evaluation_of(self.before.evaluation, _row(self.rows, "evaluate"), self.seen),
            }
        )

    def _decision(
        self,
        after: JobStatus,
        events: Iterable[StoryEvent],
        made: tuple[Child, ...] = (),
        wake: float | None = None,
    ) -> Decision:
        times = [] if after.state in FINAL else [wake, self._deadline(), *self.seen.lost_times()]
        if self.bounds is not None and (train := _row(self.rows, "train")) is not None:
            times += elastic.times(train, self.seen, self.bounds)
        times.append(_end_of_life(self.resource, after))
        return _with_deletions(
            Decision(after, children=made, events=(*events, *turns(self.before, after))), self.before, self.seen, times
        )


def _keep(resource: Resource, before: JobStatus, seen: Seen) -> Decision:
    """A job that is done or has failed: nothing is made any more; what is left of it ends."""
    status = before.model_copy(
        update={
            "observed_generation": resource.generation,
            "conditions": [_of(resource.generation, condition) for condition in before.conditions],
            "checkpoint": checkpoint_of(before.checkpoint, None, _row(before.stages, "train"), seen),
            "evaluation": evaluation_of(before.evaluation, _row(before.stages, "evaluate"), seen),
        }
    )
    ends = _end_of_life(resource, before)
    if ends is not None and seen.now >= ends:
        return Decision(status, delete_resource=True)
    return _with_deletions(Decision(status), before, seen, [ends])


def _refuse(resource: Resource, before: JobStatus, seen: Seen, why: str) -> Decision:
    """A job that cannot work as it is written."""
    at = rfc3339(seen.now)
    over = {"state": "Failed", "completion_time": at, "retry_time": None, "message": why}
    found = (*facts("Failed", "WrongJob", for_good(why)), *none_held(before.conditions))
    after = before.model_copy(
        update={
            "observed_generation": resource.generation,
            "state": "Failed",
            "message": for_good(why),
            "completion_time": at,
            "suspension": None,
            "conditions": conditions(before.conditions, found, resource.generation, seen.now),
            "stages": [row.model_copy(update=over) if row.name == before.stage else row for row in before.stages],
        }
    )
    decision = Decision(after, events=turns(before, after))
    return _with_deletions(decision, before, seen, [_end_of_life(resource, after)])


def _with_deletions(decision: Decision, before: JobStatus, seen: Seen, times: Iterable[float | None]) -> Decision:
    """The decision with what may be deleted already, and when to come back for the rest."""
    now = {job.name: job for job, due in leftovers(before, seen) if due <= seen.now}
    later = [max(due, seen.now + SOON) for job, due in leftovers(decision.status, seen) if job.name not in now]
    wakes = [max(time, seen.now + SOON) for time in times if time is not None] + later
    return Decision(
        decision.status,
        decision.children,
        (
            *(Deletion("Job", job.name, job.uid) for job in now.values()),
            *(Deletion("Pod", pod.name, pod.uid, grace) for pod, grace in cut_off_pods(before, seen)),
        ),
        decision.events,
        min(wakes) - seen.now if wakes else None,
    )


def _of(generation: int, condition: Condition) -> Condition:
    """The same condition of a later spec: ``kubectl wait`` passes over those of an earlier one."""
    return condition.model_copy(update={"observed_generation": generation})


def _row(rows: Iterable[StageStatus], name: str) -> StageStatus | None:
    return next((row for row in rows if row.name == name), None)


def _end_of_life(resource: Resource, status: JobStatus) -> float | None:
    """When a job that has ended is to be deleted."""
    ended, seconds = seconds_of(status.completion_time), seconds_to_keep(resource)
    return None if ended is None or seconds is None else ended + seconds
