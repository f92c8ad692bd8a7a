"""The text of job files: the smallest ones that work, and changes to them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mtj_api import JobError, parse_job

SMALLEST = """\
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {name: chorales}
spec:
  dataset: {source: ./music}
  output: ./out
"""

WITH_MODEL = SMALLEST + "  model: {}\n"


def document(**spec: Any) -> dict[str, Any]:
    """A job as YAML would read it, with these parts of the spec beside or in place of the smallest ones."""
    found: dict[str, Any] = yaml.safe_load(SMALLEST)
    found["spec"].update(spec)
    return found


def text(**spec: Any) -> str:
    """The same as the text of a file."""
    return yaml.safe_dump(document(**spec), sort_keys=False)


def refusal(text: str, *settings: str) -> str:
    """What is said of a file that is refused as a job, with these settings."""
    with pytest.raises(JobError) as refused:
        parse_job(text, "job.yaml", settings)
    return str(refused.value)
