"""The operator as an executor of any plan: a MusicTrainingJob whose stages play those of the plan.

The job's pods find, in place of the trainer, a package of the same name that runs whatever program it is told to. All
else is as for any job: the operator makes the Jobs, and what is known of the end is what the status says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mtj_api.contract import ExitCode
from mtj_operator.execute import Outcome
from mtj_operator.plan import Plan
from support.kubectl import Kubectl, KubectlError
from support.witness import eventually

FOLDER = "/witness"
"""Where pods have the folder in which the stages leave their notes."""

NAME = "played"
PATIENCE = 240.0

PLAYER = f"""
import json, pathlib, signal, subprocess, sys
part = pathlib.Path("{FOLDER}/parts", __spec__.name.split(".")[1])
if not part.exists():
    sys.exit(0)
child = subprocess.Popen(json.loads(part.read_text()))
signal.signal(signal.SIGTERM, lambda number, frame: child.send_signal(number))
status = child.wait()
sys.exit(status if status >= 0 else 128 - status)
"""
"""Plays a stage: the program of the file that is named after it, or nothing where there is none."""

CODES = {
    "WrongJob": ExitCode.WRONG_JOB,
    "StageFailed": ExitCode.CRASHED,
    "TooManyDisruptions": ExitCode.INTERRUPTED,
    "Suspended": ExitCode.INTERRUPTED,
    "Succeeded": ExitCode.DONE,
}
"""What the reasons that the operator gives mean by the contract."""


class OperatorExecutor:
    """Runs plans on a cluster where the operator is.

    Args:
        kubectl: for the namespace.
        folder: of the notes, as this machine has it.
        image: with Python, for the pods.
    """

    def __init__(self, kubectl: Kubectl, folder: Path, image: str) -> None:
        self._kubectl = kubectl
        self._folder = folder
        self._image = image
        self._stops = 0
        _lay_out(folder)

    def run(self, plan: Plan) -> Outcome:
        """Carry the plan out."""
        for stage in plan.stages:
            (self._folder / "parts" / stage.name).write_text(json.dumps(stage.command))
        if self._state() == "Suspended":
            self._suspend(False)
        else:
            self._kubectl("delete", "mtj", NAME, "--ignore-not-found")
            self._kubectl.apply(self._job(plan))
        eventually(lambda: self._state() in ("Succeeded", "Failed", *(["Suspended"] if self._stops else [])), PATIENCE)
        status = self._status()
        reason = next(one["reason"] for one in status["conditions"] if one["type"] == "Succeeded")
        if CODES[reason] == ExitCode.DONE:
            return Outcome(ExitCode.DONE)
        row = next(row for row in status["stages"] if row["state"] != "Succeeded")
        return Outcome(CODES[reason], row["name"], row.get("message", ""))

    def stop(self) -> None:
        """Suspend the job; the second time, as who has no patience does: with force."""
        self._stops += 1
        if self._stops == 1:
            self._suspend(True)
        else:
            self._kubectl("delete", "pods", "--all", "--force", "--grace-period=0")

    def _suspend(self, suspend: bool) -> None:
        patch = {"spec": {"scheduling": {"suspend": suspend}}}
        self._kubectl("patch", "mtj", NAME, "--type=merge", f"--patch={json.dumps(patch)}")

    def _state(self) -> str:
        """Of the job as it is now; empty while there is none, or nothing is said of it."""
        try:
            found = self._kubectl.get("mtj", NAME)
        except KubectlError:
            return ""
        status = found.get("status", {})
        told = status.get("observedGeneration") == found["metadata"]["generation"]
        return str(status.get("state", "")) if told else ""

    def _status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._kubectl.get("mtj", NAME)["status"]
        return found

    def _job(self, plan: Plan) -> dict[str, Any]:
        environment = {"PYTHONPATH": f"{FOLDER}/python"}
        for stage in plan.stages:
            environment |= stage.environment
        claim = {"persistentVolumeClaim": {"claimName": "witness"}}
        template = {
            "env": [{"name": name, "value": value} for name, value in environment.items()],
            "volumes": [{"name": "witness", "mountPath": FOLDER, **claim}],
        }
        never = dict.fromkeys(("prepare", "train", "evaluate", "disruptions"), 0)
        return {
            "apiVersion": "training.discomusica.io/v1alpha1",
            "kind": "MusicTrainingJob",
            "metadata": {"name": NAME},
            "spec": {
                "dataset": {"importer": "bach-chorales"},
                "model": {},
                "output": "s3://nowhere/at-all",
                "scheduling": {"image": self._image, "retries": never, "podTemplate": template},
            },
        }


def _lay_out(folder: Path) -> None:
    package = folder / "python/mtj_trainer"
    (package / "train").mkdir(parents=True, exist_ok=True)
    (folder / "parts").mkdir(exist_ok=True)
    for module in ("prepare", "train/launch", "evaluate", "report", "publish"):
        (package / f"{module}.py").write_text(PLAYER)
    for init in (package, package / "train"):
        (init / "__init__.py").touch()
