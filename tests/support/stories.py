"""Stories of jobs on the model of a cluster: what is asked for, what happens to it, and the operator that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mtj_operator.plan.settings import ClusterSettings
from mtj_operator.plan.story import decide
from support.cluster_model import ClusterModel, KilledError, Lag
from support.fates import Fates, all_goes_well

SETTINGS = ClusterSettings(trainer_image="registry.example/trainer:1")

Act = Callable[[ClusterModel], object]


def spec(**parts: Any) -> dict[str, Any]:
    """A job with a model, that prepares and trains on two nodes each; with these parts beside or instead."""
    return {
        "dataset": {"source": "s3://music/raw", "workers": {"nodes": 2}},
        "model": {},
        "training": {"nodes": 2},
        "output": "s3://music/out",
        **parts,
    }


@dataclass(frozen=True)
class Story:
    """What happens to a job.

    Attributes:
        spec: of the job.
        fates: what becomes of its pods.
        acts: what others do, by the second in which they do it.
        seconds: how long it is watched.
    """

    spec: dict[str, Any] = field(default_factory=spec)
    fates: Fates = all_goes_well
    acts: Mapping[int, Act] = field(default_factory=dict)
    seconds: int = 600


def play(story: Story, *, kill_at: int | None = None, lag: Lag = (0, 0, 0)) -> ClusterModel:
    """The cluster at the end of a story.

    Args:
        kill_at: after which of its writes the operator is killed, and started again at once.
        lag: by how many changes what the operator sees of the job, of Jobs and of pods is behind.
    """
    cluster = ClusterModel(story.spec, story.fates, lag)
    cluster.kill_at = kill_at
    end = cluster.now + story.seconds
    acts = sorted((cluster.now + second, act) for second, act in story.acts.items())
    while cluster.now < end and not cluster.gone:
        while acts and acts[0][0] <= cluster.now:
            acts.pop(0)[1](cluster)
        pause = reconcile(cluster)
        views = cluster.views
        cluster.tick()
        if not cluster.busy and cluster.views == views:
            until = min(acts[0][0] if acts else end, cluster.now + (pause or story.seconds))
            cluster.tick(max(0.0, until - cluster.now))
    return cluster


def reconcile(cluster: ClusterModel) -> float | None:
    """Decide and carry out until there is nothing more to see and to write; when to come back, in seconds."""
    for _ in range(100):
        try:
            decision = decide(cluster.observe(), SETTINGS, cluster.now)
            if not cluster.carry_out(decision) and cluster.all_seen:
                return decision.requeue_after
        except KilledError:
            continue
    raise AssertionError(f"it writes for ever: {cluster.writes[-6:]}")
