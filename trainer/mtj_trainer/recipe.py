"""The job as its report and its model's card show it, which are shared: YAML that makes the same model again."""

from __future__ import annotations

import json

import yaml

from mtj_api import MusicTrainingJob, stage_json


def recipe(job: MusicTrainingJob) -> str:
    """A resolved job as YAML, which is also a job file; where it runs is left out, with the variables of its pods."""
    text: str = yaml.safe_dump(json.loads(stage_json(job)), sort_keys=False, allow_unicode=True)
    return text
