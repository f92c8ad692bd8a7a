"""The stories of jobs that tests tell in whole and interrupt: what goes well and what goes wrong on a cluster."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from mtj_api.contract import ExitCode
from mtj_operator.plan import STAGES
from mtj_operator.plan.observed import Resource
from support.cluster_model import START
from support.fates import Fate, well_but
from support.stories import Story, spec

SAVED = (ExitCode.INTERRUPTED, '{"checkpoint": {"step": 300, "url": "s3://music/out/checkpoints/300"}}')
OUT_OF_MEMORY = Fate(137, reason="OOMKilled")
LOST_PEER = Fate(ExitCode.PEER_LOST, after=4)
FOR_EVER = Fate(None, stop=SAVED)
NOWHERE = Fate(waiting=("Unschedulable", "0/2 nodes are available"))
NO_ROOM = Fate(None, stop=(0, ""), waiting=NOWHERE.waiting)


def scheduled(**scheduling: Any) -> dict[str, Any]:
    """A job that is to be scheduled so."""
    return spec(scheduling=scheduling)


def elastic(**scheduling: Any) -> dict[str, Any]:
    """A job that trains on two nodes, or on one where there is no room for both."""
    return spec(training={"nodes": 2, "minNodes": 1}, scheduling=scheduling)


def base(state: str, done: int) -> Resource:
    """Another job, of which so many stages are done."""
    rows = [{"name": name, "state": "Succeeded" if n < done else "Waiting"} for n, name in enumerate(STAGES)]
    status = {"state": state, "stage": "" if done == len(STAGES) else STAGES[done], "stages": rows}
    wanted, found = json.dumps(spec(output="s3://music/base")), json.dumps(status)
    return Resource("music", "base", "uid-of-base", 1, "9", START, wanted, found)


TALES: dict[str, Story] = {
    "all goes well": Story(),
    "without a model": Story(spec={"dataset": {"source": "s3://music/raw"}, "output": "s3://music/out"}),
    "stages that fail once": Story(
        fates=well_but(
            prepare_1_0=Fate(1), prepare_1_1=LOST_PEER, train_1_0=Fate(1, "the disk is full"), train_1_1=LOST_PEER
        )
    ),
    "helpers that do not end by themselves": Story(fates=well_but(prepare_1_0=Fate(1), prepare_1_1=FOR_EVER)),
    "no retry is left": Story(spec=scheduled(retries={"train": 2}), fates=well_but(train=OUT_OF_MEMORY)),
    "preempted": Story(fates=well_but(train_1_0=LOST_PEER, train_1_1=Fate(disrupted="preempted", stop=SAVED))),
    "a head that is evicted": Story(fates=well_but(prepare_1_0=Fate(None, disrupted="evicted"), prepare_1_1=LOST_PEER)),
    "a helper that comes back": Story(
        fates=well_but(prepare_1_0=Fate(after=20), prepare_1_1=Fate(disrupted="evicted"))
    ),
    "a node that is lost": Story(fates=well_but(train_1_0=LOST_PEER, train_1_1=Fate(lost=True))),
    "a node that is lost while its peers wait": Story(fates=well_but(train_1_0=FOR_EVER, train_1_1=Fate(lost=True))),
    "a node that is lost with helpers": Story(fates=well_but(prepare_1_0=Fate(after=30), prepare_1_1=Fate(lost=True))),
    "a node that is known to be lost": Story(
        fates=well_but(train_1_0=LOST_PEER, train_1_1=Fate(lost=True, silent=True))
    ),
    "a node that is lost and comes back": Story(
        spec=elastic(),
        fates=well_but(
            train_1_0=LOST_PEER,
            train_1_1=Fate(lost=True, silent=True),
            train_2_0=FOR_EVER,
            train_2_1=NOWHERE,
            train_3=FOR_EVER,
            room=NO_ROOM,
        ),
        acts={250: lambda cluster: cluster.make_room()},
    ),
    "room for one node alone": Story(
        spec=elastic(), fates=well_but(train_1_0=FOR_EVER, train_1_1=NOWHERE, train_2=Fate(after=70), room=NO_ROOM)
    ),
    "data that cannot work": Story(
        fates=well_but(train_1_0=Fate(ExitCode.WRONG_JOB, "there are no notes; add some"), train_1_1=LOST_PEER)
    ),
    "a spec that cannot work": Story(spec=spec(output="./out")),
    "suspended and resumed": Story(
        fates=well_but(train_1=FOR_EVER),
        acts={10: lambda cluster: cluster.edit(suspend=True), 40: lambda cluster: cluster.edit(suspend=False)},
    ),
    "resumed while its pods end": Story(
        fates=well_but(train_1=replace(FOR_EVER, stops_after=20)),
        acts={10: lambda cluster: cluster.edit(suspend=True), 20: lambda cluster: cluster.edit(suspend=False)},
    ),
    "suspended from the start": Story(
        spec=scheduled(suspend=True), acts={40: lambda cluster: cluster.edit(suspend=False)}
    ),
    "out of time": Story(spec=scheduled(deadlineSeconds=60), fates=well_but(train_1=FOR_EVER)),
    "kept for a minute": Story(spec=scheduled(ttlSecondsAfterFinished=60)),
    "an earlier job of this name": Story(
        acts={
            0: lambda cluster: cluster.add_stranger("prepare"),
            20: lambda cluster: cluster.delete_job("chorales-prepare-1"),
        }
    ),
    "a Job that is deleted by hand": Story(
        fates=well_but(train_1=FOR_EVER), acts={10: lambda cluster: cluster.delete_job("chorales-train-1")}
    ),
    "a Job that is deleted by hand before its pods run": Story(
        fates=well_but(train_1=Fate(waiting=("Unschedulable", "no room"))),
        acts={10: lambda cluster: cluster.delete_job("chorales-train-1"), 15: lambda cluster: cluster.make_room()},
    ),
    "all is deleted by hand in the end": Story(acts={100: lambda cluster: cluster.delete_jobs()}),
    "a queue": Story(spec=scheduled(queue="music"), acts={n: lambda cluster: cluster.admit() for n in range(5, 60, 5)}),
    "preempted by its queue": Story(
        spec=scheduled(queue="music"),
        fates=well_but(train_1=FOR_EVER),
        acts={n: lambda cluster: cluster.admit() for n in range(5, 100, 5)} | {52: lambda cluster: cluster.preempt()},
    ),
    "takes its model from another job": Story(
        spec=spec(model={"from": {"job": "base"}}),
        fates=well_but(prepare_1_0=Fate(1)),
        acts={
            10: lambda cluster: cluster.show(base=base("Running", 1)),
            20: lambda cluster: cluster.show(base=base("Succeeded", len(STAGES))),
            25: lambda cluster: cluster.show(),
        },
    ),
    "many disruptions": Story(
        fates=well_but(**{f"train_{n}": Fate(disrupted="preempted") for n in range(1, 5)}), seconds=120
    ),
}
