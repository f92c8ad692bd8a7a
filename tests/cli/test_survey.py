"""The look at the source that ``mtj explain`` takes: the trainer's own, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtj_api import parse_job
from mtj_api.advice import Survey
from mtj_operator.cli.main import main
from mtj_operator.cli.survey import survey
from support.jobs import SMALLEST, text


def test_what_is_in_the_source_is_counted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("music/notes.txt").write_text("no music")
    Path("job.yaml").write_text(SMALLEST)
    assert main(["explain", "job.yaml"]) == 0
    said = capsys.readouterr().out
    assert "music: 0 files, 0 h of MIDI and 0 h of audio" in said
    assert "! dataset.source holds no music" in said


def test_the_survey_is_that_of_the_job(here: Path) -> None:
    job = parse_job(text(dataset={"source": str(here / "music")})).job
    assert survey(job) == (Survey(files=0, audio_hours=0.0, midi_hours=0.0, estimated=False), "")


@pytest.mark.parametrize(
    ("interpreter", "reason"),
    [
        ("#!/bin/sh\necho first >&2\necho 'No module named mtj_trainer' >&2\nexit 1", "No module named mtj_trainer"),
        ("#!/bin/sh\nexit 3", "exit status 3"),
        ("#!/bin/sh\necho 's3://a cannot be reached' > $MTJ_TERMINATION_LOG\nexit 65", "s3://a cannot be reached"),
    ],
)
def test_a_source_that_cannot_be_looked_at_is_no_fault_of_the_job(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], interpreter: str, reason: str
) -> None:
    python = here / "python"
    python.write_text(interpreter)
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    Path("job.yaml").write_text(SMALLEST)
    assert main(["explain", "job.yaml"]) == 0
    assert f"music: the source was not looked at ({reason})" in capsys.readouterr().out


def test_data_of_another_job_is_called_that(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.yaml").write_text(text(dataset={"from": {"job": "codec"}}))
    assert main(["explain", "job.yaml"]) == 0
    assert "music: data of job codec\n" in capsys.readouterr().out
