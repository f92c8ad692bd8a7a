"""On how many nodes training goes on: fewer where a cluster has no room for all, and more again once it has.

What there is room for is what the scheduler finds. A gang with a pod that no node takes goes on without it; beside a
gang that is too small, pods that only hold room wait for a place, and when they have one the gang saves its work and
begins anew with more nodes. Invariants:

- An attempt has one number of nodes, as its Job has; another number is another attempt.
- Another number counts as no failure and no disruption. Each time that nodes were lost, growing back waits twice as
  long, so that a node that comes and goes does not restart training without end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mtj_api import MusicTrainingJob
from mtj_api.status import ElasticStatus, StageStatus
from mtj_operator.plan.observed import PodSnapshot
from mtj_operator.plan.story.clock import rfc3339, seconds_of
from mtj_operator.plan.story.course import Settled, is_under_way
from mtj_operator.plan.story.decision import StoryEvent
from mtj_operator.plan.story.seen import Seen, has_stopped

SHRINKS_AFTER = 30.0
"""Seconds for which the scheduler finds no node for a pod before training goes on without it: less than a minute that
all others stand still for, and enough for what the pod may preempt to leave."""

FIRST_GROWTH = 60.0
"""Seconds that training runs on fewer nodes before room for the others is looked for, the first time."""

LONGEST_GROWTH = 3600.0


@dataclass(frozen=True)
class Bounds:
    """How many nodes training may have.

    Attributes:
        fewest: with which it still goes on.
        wanted: that it has where there is room.
        grows: whether it may leave what it has for more; where a queue admits each attempt anew, it might get nothing.
    """

    fewest: int
    wanted: int
    grows: bool


def bounds_of(job: MusicTrainingJob) -> Bounds | None:
    """The bounds of a job as written; ``None`` where all of its nodes train or none."""
    training = job.spec.training
    if training is None or training.min_nodes is None or training.min_nodes == training.nodes:
        return None
    return Bounds(training.min_nodes, training.nodes, grows=job.spec.scheduling.queue is None)


def resized(settled: Settled, seen: Seen, bounds: Bounds) -> Settled:
    """The stage with its number of nodes; its attempt is over, and the next due at once, where another number is."""
    row, elastic = settled.row, _remembered(settled.row, bounds)
    if row.state in ("Succeeded", "Failed"):
        return settled
    if row.state == "Suspended":  # what there will be room for then is not known
        elastic = ElasticStatus(nodes=bounds.wanted, shrinks=elastic.shrinks)
    job = seen.job(row.name, row.attempt) if is_under_way(row) else None
    if job is not None:
        elastic = elastic.model_copy(update={"nodes": job.pods})
    later = seen.attempt_after(row.name, row.attempt)
    if job is None or job.suspended or settled.ending is not None or later is not None:
        return replace(settled, row=_with(row, elastic))
    pods = seen.pods_of(row.name, row.attempt)
    runs = _all_run(pods, job.pods)
    if runs and elastic.nodes < bounds.wanted and seconds_of(elastic.grow_time) is None:
        elastic = elastic.model_copy(update={"grow_time": rfc3339(seen.now + _patience(elastic.shrinks))})
    row = _with(row, elastic)
    placed, without = _placed(pods), _without_room(pods, seen.now)
    if without and bounds.fewest <= len(placed) == job.pods - len(without):
        why = f"no node takes {without[0].name}: {without[0].waiting[1]}"
        fewer = ElasticStatus(nodes=len(placed), reason=why, shrinks=elastic.shrinks + 1)
        told = f"goes on with {len(placed)} of {bounds.wanted} nodes, since {why}"
        return _changed(settled, row, fewer, StoryEvent("Shrunk", f"{row.name}: {told}", True, _key(row)), told, seen)
    more = _room_found(row, seen) if runs else 0
    if more:
        nodes = min(bounds.wanted, job.pods + more)
        reason = elastic.reason if nodes < bounds.wanted else ""
        grown = ElasticStatus(nodes=nodes, reason=reason, shrinks=elastic.shrinks)
        told = f"grows to {nodes} of {bounds.wanted} nodes, since there is room again"
        return _changed(settled, row, grown, StoryEvent("Grown", f"{row.name}: {told}", False, _key(row)), told, seen)
    return replace(settled, row=row)


def _remembered(row: StageStatus, bounds: Bounds) -> ElasticStatus:
    """What the status says, within bounds, since anybody may write into it."""
    if row.elastic is None:
        return ElasticStatus(nodes=bounds.wanted)
    nodes = min(bounds.wanted, max(bounds.fewest, row.elastic.nodes))
    return row.elastic if nodes == row.elastic.nodes else row.elastic.model_copy(update={"nodes": nodes})


def missing(row: StageStatus, seen: Seen, bounds: Bounds) -> int:
    """For how many more nodes room is to be looked for now; 0 for none, or where that is done already."""
    due = _growth_due(row, bounds)
    if due is None or seen.now < due or _is_looked_for(row, seen) or row.elastic is None:
        return 0
    return bounds.wanted - row.elastic.nodes


def times(row: StageStatus, seen: Seen, bounds: Bounds) -> list[float]:
    """When another number of nodes may be due, though nothing happens."""
    if not is_under_way(row):
        return []
    waiting = [pod.unschedulable for pod in seen.pods_of(row.name, row.attempt) if pod.unschedulable is not None]
    found = [since + SHRINKS_AFTER for since in waiting]
    due = _growth_due(row, bounds)
    if due is not None and not _is_looked_for(row, seen):
        found.append(due)
        if seen.refusal_of_room(row.attempt):
            found.append(seen.now + FIRST_GROWTH)
    return [time for time in found if time > seen.now]


def shown(row: StageStatus, bounds: Bounds) -> str | None:
    """``1 of 2``; ``None`` before the first attempt."""
    if row.elastic is None or row.attempt == 0:
        return None
    return f"{row.elastic.nodes} of {bounds.wanted}"


def explained(row: StageStatus, seen: Seen, bounds: Bounds) -> str:
    """Why an attempt has fewer nodes than wanted, as the end of a sentence; empty where it has all."""
    if row.elastic is None or row.elastic.nodes >= bounds.wanted:
        return ""
    why = f", since {row.elastic.reason}" if row.elastic.reason else ""
    refusal = seen.refusal_of_room(row.attempt)
    more = f"; room for more cannot be looked for: {refusal}" if refusal else ""
    return f"; on {row.elastic.nodes} of {bounds.wanted} nodes{why}{more}"


def _growth_due(row: StageStatus, bounds: Bounds) -> float | None:
    if not bounds.grows or row.state != "Running" or row.elastic is None or row.elastic.nodes >= bounds.wanted:
        return None
    return seconds_of(row.elastic.grow_time)


def _patience(shrinks: int) -> float:
    return min(LONGEST_GROWTH, FIRST_GROWTH * 2.0 ** min(max(shrinks - 1, 0), 30))


def _all_run(pods: tuple[PodSnapshot, ...], count: int) -> bool:
    return sum(pod.phase == "Running" and not pod.deleted for pod in pods) >= count


def _placed(pods: tuple[PodSnapshot, ...]) -> list[PodSnapshot]:
    return [pod for pod in pods if pod.node and not pod.deleted and not has_stopped(pod)]


def _without_room(pods: tuple[PodSnapshot, ...], now: float) -> list[PodSnapshot]:
    """Pods that have waited for a node for long enough."""
    return [
        pod
        for pod in pods
        if not pod.node and pod.unschedulable is not None and now >= pod.unschedulable + SHRINKS_AFTER
    ]


def _is_looked_for(row: StageStatus, seen: Seen) -> bool:
    """Whether a Job looks for room, or pods of one that did are left, whose name would be needed again."""
    return row.attempt in seen.rooms or bool(seen.pods_of_room(row.attempt))


def _room_found(row: StageStatus, seen: Seen) -> int:
    """How many more nodes there is room for, once the scheduler has tried them all."""
    room, pods = seen.rooms.get(row.attempt), seen.pods_of_room(row.attempt)
    tried = [pod for pod in pods if pod.node or pod.unschedulable is not None]
    if room is None or len(tried) < room.pods:
        return 0
    return len(_placed(pods))


def _changed(
    settled: Settled, row: StageStatus, elastic: ElasticStatus, event: StoryEvent, told: str, seen: Seen
) -> Settled:
    over = {"state": "Retrying", "retry_time": rfc3339(seen.now), "message": told, "elastic": elastic}
    return Settled(row.model_copy(update=over), events=(*settled.events, event))


def _key(row: StageStatus) -> str:
    return f"{row.name}-{row.attempt}-resized"


def _with(row: StageStatus, elastic: ElasticStatus) -> StageStatus:
    return row if row.elastic == elastic else row.model_copy(update={"elastic": elastic})
