"""``python -m mtj_trainer.prepare --job FILE``: from source music to a data set that training reads."""

from __future__ import annotations

from collections.abc import Mapping

from mtj_api import MusicTrainingJob, stage_json
from mtj_trainer.prepare.driver import prepare
from mtj_trainer.prepare.pool import WorkerPool
from mtj_trainer.progress import Progress
from mtj_trainer.stage import leave_figures, run_stage, stop_requested
from mtj_trainer.storage import open_storage

SHOWN_WARNINGS = 10


def main(job: MusicTrainingJob) -> None:
    """Prepare the data of a job."""
    open_storage(job.spec.output).write("job.json", stage_json(job).encode())
    with WorkerPool(job.spec.dataset.workers.count, stop_requested) as pool:
        record = prepare(job, pool)
    progress = Progress("prepare", 1)
    for warning in record["warnings"][:SHOWN_WARNINGS]:
        progress.say(f"warning: {warning}")
    if len(record["warnings"]) > SHOWN_WARNINGS:
        progress.say(f"and {len(record['warnings']) - SHOWN_WARNINGS} more warnings, in the data set's manifest.json")
    progress.say(summary(record["figures"]))
    leave_figures(record["figures"])


def summary(figures: Mapping[str, float]) -> str:
    """What a person wants to know of a data set, in a line."""
    parts = [f"{figures['prepare.tracks']:.0f} tracks"]
    parts += [
        f"{figures[f'prepare.hours.{m}']:.2f} h of {m}" for m in ("audio", "midi") if figures[f"prepare.hours.{m}"]
    ]
    if "prepare.codes.frames" in figures:
        parts.append(f"{figures['prepare.codes.frames']:,.0f} frames of codes")
    reasons = {name.rpartition(".")[2]: count for name, count in figures.items() if "prepare.quarantined." in name}
    if reasons:
        said = ", ".join(f"{count:.0f} {reason}" for reason, count in reasons.items())
        parts.append(f"{figures['prepare.quarantined']:.0f} files left out ({said})")
    return ", ".join(parts)


if __name__ == "__main__":
    run_stage(main, saves_itself=True)
