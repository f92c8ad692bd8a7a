"""The jobs of ``tests/plan/data`` that are planned for a cluster: a folder each.

``job.yaml`` is the job. ``cluster.yaml`` says which of its stages ``objects.yaml`` shows, at which attempt, whether
with the ConfigMap, on how many nodes training goes on where they are fewer than the job asks for, and in what the
cluster's settings differ from the usual ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mtj_api import MusicTrainingJob, load_job
from mtj_operator.plan import Plan
from mtj_operator.plan.objects import Object, Owner, children, room_beside, stages_on_cluster
from mtj_operator.plan.settings import ClusterSettings

DATA = Path(__file__).parents[1] / "plan/data"

SETTINGS: dict[str, Any] = {"trainer_image": "trainer:1"}


@dataclass(frozen=True)
class Case:
    """A folder, read.

    Attributes:
        folder: it.
        job: resolved.
        settings: of the cluster.
        stages: the names of those that are shown.
        attempt: the number of what is shown.
        config_map: whether the ConfigMap is shown, which is long.
        nodes: on how many it trains where they are fewer than the job asks for; what looks for room is shown then.
    """

    folder: Path
    job: MusicTrainingJob
    settings: ClusterSettings
    stages: tuple[str, ...]
    attempt: int
    config_map: bool
    nodes: int | None

    @property
    def plan(self) -> Plan:
        """All of its stages."""
        return stages_on_cluster(self.job, self.settings, self.nodes)

    def objects(self, *stages: str, namespace: str = "music") -> list[Object]:
        """What these stages take, each object once."""
        owner = Owner(namespace, self.job.metadata.name, "11111111-2222-3333-4444-555555555555")
        found: list[Object] = []
        for stage in self.plan.stages:
            if stage.name in stages:
                made = children(self.job, owner, stage, self.attempt, self.settings)
                found += [child.object for child in made if child.object not in found]
                training = self.job.spec.training
                if self.nodes is not None and stage.name == "train" and training is not None:
                    missing = training.nodes - self.nodes
                    found.append(room_beside(self.job, owner, stage, self.attempt, missing, self.settings).object)
        return found


def read(folder: Path) -> Case:
    """The case of a folder."""
    shown = yaml.safe_load((folder / "cluster.yaml").read_text())
    return Case(
        folder=folder,
        job=load_job(folder / "job.yaml").job,
        settings=ClusterSettings(**SETTINGS | shown.get("settings", {})),
        stages=tuple(shown["stages"]),
        attempt=shown.get("attempt", 1),
        config_map=shown.get("configMap", False),
        nodes=shown.get("nodes"),
    )


CASES = [read(path.parent) for path in sorted(DATA.glob("*/cluster.yaml"))]
