"""Another job's prepared data: nothing is prepared again, and what cannot be read by this job is said at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtj_api import JobError, MusicTrainingJob, parse_job
from mtj_trainer.prepare import driver
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.manifest import figures
from mtj_trainer.prepare.survey import survey
from mtj_trainer.storage import open_storage
from support.codes import AUDIO, recordings
from support.jobs import text
from support.pools import NoPool
from support.prepared import MIDI, chorales, prepare_files, prepare_scores


def lender(folder: Path, kind: str, **dataset: Any) -> str:
    """The output of a job that prepared some recordings, or MIDI."""
    music = {"source": str(folder / "music"), **dataset}
    made = parse_job(text(dataset=music, output=str(folder / "lender"))).job
    if kind == "audio":
        url = prepare_files(folder, recordings(), AUDIO)
    else:
        url = prepare_scores(folder, chorales(4), made.spec.dataset.midi)
    counts = figures(PreparedDataset.open(url, folder).manifest)
    output = open_storage(made.spec.output)
    output.write("job.json", made.model_dump_json(by_alias=True).encode())
    record = {"dataset": url, "source": "./music", "figures": counts, "warnings": ["one"]}
    output.write("stages/prepare.json", json.dumps(record).encode())
    return output.url


def borrower(folder: Path, prepared: str, family: str | None, **dataset: Any) -> MusicTrainingJob:
    model = {} if family is None else {"model": {"family": family}}
    found = {"prepared": prepared, "cache": str(folder / "own cache"), **dataset}
    return parse_job(text(dataset=found, output=str(folder / "out"), **model)).job


@pytest.mark.parametrize(("kind", "family"), [("audio", "codec"), ("midi", "symbolic"), ("audio", None)])
def test_it_is_named_and_not_made_again(tmp_path: Path, kind: str, family: str | None) -> None:
    output = lender(tmp_path, kind)
    job = borrower(tmp_path, output, family)
    record = driver.prepare(job, NoPool())
    lent = json.loads(open_storage(output).read("stages/prepare.json"))
    assert {name: record[name] for name in ("dataset", "source", "warnings")} == {
        name: lent[name] for name in ("dataset", "source", "warnings")
    }
    assert record["figures"].items() >= lent["figures"].items()
    assert record["figures"]["prepare.units.made"] == 0
    assert "codes" not in record
    own = tmp_path / "out/stages/prepare.json"
    assert json.loads(own.read_text()) == record
    assert not (tmp_path / "own cache").exists()
    written = own.stat().st_mtime_ns
    assert driver.prepare(job, NoPool()) == record
    assert own.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("kind", "family", "sentence"),
    [
        ("midi", "codec", "spec.dataset.from: .* has no recordings, .* family codec reads; .*modalities has audio"),
        ("audio", "symbolic", "spec.dataset.from: .* has no MIDI, .* family symbolic reads"),
    ],
)
def test_data_of_the_other_kind_is_refused(tmp_path: Path, kind: str, family: str, sentence: str) -> None:
    with pytest.raises(JobError, match=sentence):
        driver.prepare(borrower(tmp_path, lender(tmp_path, kind), family), NoPool())


def test_tokens_of_another_kind_are_refused(tmp_path: Path) -> None:
    lent = lender(tmp_path, "midi", midi={"stepsPerBeat": 4})
    assert MIDI.steps_per_beat == 4
    driver.prepare(borrower(tmp_path, lent, "symbolic", midi={"stepsPerBeat": 4}), NoPool())
    with pytest.raises(JobError, match=r"spec.dataset.midi: .*other tokens; write midi: .*\"stepsPerBeat\": 4"):
        driver.prepare(borrower(tmp_path, lent, "symbolic", midi={"stepsPerBeat": 8}), NoPool())


def test_tokens_that_an_earlier_version_made_as_this_one_would_are_read(tmp_path: Path) -> None:
    output = lender(tmp_path, "midi")
    job = json.loads(open_storage(output).read("job.json"))
    del job["spec"]["dataset"]["midi"]["stepsPerBeat"]
    job["spec"]["dataset"]["midi"]["newWay"] = "slow"
    open_storage(output).write("job.json", json.dumps(job).encode())
    assert driver.prepare(borrower(tmp_path, output, "symbolic"), NoPool())["dataset"]


def test_a_job_that_has_prepared_nothing_has_nothing_to_lend(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"spec\.dataset\.from: .*/nobody has not prepared its data; run that"):
        driver.prepare(borrower(tmp_path, str(tmp_path / "nobody"), "codec"), NoPool())


def test_an_output_that_names_itself_is_refused(tmp_path: Path) -> None:
    output = lender(tmp_path, "midi")
    of_itself = parse_job(text(dataset={"prepared": output}, output=output)).job
    open_storage(output).write("job.json", of_itself.model_dump_json(by_alias=True).encode())
    with pytest.raises(JobError, match="are borrowed from that same place"):
        driver.prepare(borrower(tmp_path, output, "symbolic"), NoPool())


def test_the_survey_has_the_lenders_figures(tmp_path: Path) -> None:
    found = survey(borrower(tmp_path, lender(tmp_path, "audio"), "codec"))
    assert (found["files"], found["estimated"], found["midi_hours"]) == (6, False, 0.0)
    assert found["audio_hours"] == pytest.approx(6 * 4 / 3600, rel=0.01)
