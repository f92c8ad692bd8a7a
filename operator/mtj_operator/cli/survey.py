"""A look at the source, by the trainer in a process of its own: what reads music is slow to load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mtj_api import MusicTrainingJob, resolved_json
from mtj_api.advice import Survey
from mtj_api.contract import TERMINATION_LOG_ENV

PATIENCE_SECONDS = 120


def survey(job: MusicTrainingJob) -> tuple[Survey | None, str]:
    """What the source of a resolved job has, or ``None`` and why it could not be looked at."""
    if job.spec.dataset.from_job is not None:
        return None, f"it is the data of job {job.spec.dataset.from_job.job}"
    with tempfile.TemporaryDirectory(prefix="mtj-survey-") as folder:
        job_file, log = Path(folder, "job.json"), Path(folder, "failure")
        job_file.write_text(resolved_json(job), encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-m", "mtj_trainer.prepare.survey", "--job", str(job_file)],
                env={**os.environ, TERMINATION_LOG_ENV: str(log)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, f"it took more than {PATIENCE_SECONDS} seconds"
        if done.returncode:
            said = log.read_text(encoding="utf-8") if log.exists() else done.stderr
            return None, (said.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return Survey(found["files"], found["audio_hours"], found["midi_hours"], found["estimated"]), ""
