"""``mtj run`` of jobs that take from each other: by name, in whatever order they end, with small programs for stages.

The stage that waits is the real one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtj_api import JobError, parse_job, read_resolved_job
from mtj_operator.cli import run as command
from mtj_operator.cli.main import main
from mtj_operator.execute.runs import Run, awaited, last_run, record, record_of
from mtj_operator.plan import Plan, Site, plan
from support.jobs import text
from support.witness import Witness

RECORDS = """
import json
output = pathlib.Path(json.load(open(os.environ["JOB"]))["spec"]["output"])
for stage in ("prepare", "publish"):
    (output / "stages").mkdir(parents=True, exist_ok=True)
    (output / f"stages/{stage}.json").write_text("{}")
"""

Programs = Callable[[dict[str, str]], None]


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    (tmp_path / "witness").mkdir()
    return Witness(tmp_path / "witness")


@pytest.fixture
def stages(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Gives stages, each as ``JOB-STAGE``, small programs; only the one that waits is left as it is."""

    def set_to(programs: dict[str, str]) -> None:
        def small(job: Any, site: Site) -> Plan:
            def of(name: str) -> str:
                return programs.get(f"{job.metadata.name}-{name}", "")

            return Plan(
                tuple(
                    stage
                    if stage.name == "wait"
                    else witness.stage(stage.name, of(stage.name), needs=stage.needs, JOB=site.job_file)
                    for stage in plan(job, site).stages
                )
            )

        monkeypatch.setattr(command, "plan", small)

    set_to({})
    return set_to


def write(name: str, **spec: Any) -> str:
    """A job file; its output is named like the job."""
    file = Path(f"{name}.yaml")
    file.write_text(text(**{"output": f"./out/{name}", **spec}).replace("name: chorales", f"name: {name}"))
    return str(file)


def test_a_job_takes_what_another_made(
    here: Path, stages: Programs, witness: Witness, capfd: pytest.CaptureFixture[str]
) -> None:
    stages({"base-publish": RECORDS, "tunes-prepare": "(here / 'job.json').write_text(open(os.environ['JOB']).read())"})
    assert main(["run", write("base", model={})]) == 0
    tunes = write("tunes", dataset={"from": {"job": "base"}}, model={"from": {"job": "base"}})
    assert main(["run", tunes, "--until", "prepare"]) == 0
    assert [line for line in capfd.readouterr().out.splitlines() if "wait" in line] == [
        "[1/2] wait",
        "wait      job base has what is wanted",
    ]
    spec = read_resolved_job(witness.folder / "job.json").spec
    assert spec.model is not None
    assert (spec.dataset.prepared, spec.model.pretrained) == (f"{here}/out/base", f"{here}/out/base/model")


def test_a_job_waits_while_the_other_runs(
    here: Path, stages: Programs, witness: Witness, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "note('prepares')\nwhile not (here / 'go').exists(): time.sleep(0.01)"
    stages({"songs-prepare": slow + RECORDS})
    monkeypatch.setattr(command, "stopping", lambda _executor: threading.Lock())  # signals are for the main thread
    ended: dict[str, int] = {}

    def run(file: str, *more: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: ended.update({file: main(["run", file, *more])}))
        thread.start()
        return thread

    songs = run(write("songs"))
    witness.wait_for("prepares")
    tunes = run(write("tunes", dataset={"from": {"job": "songs"}}), "--until", "prepare")
    said = ""
    while "waits for job songs, which is at stage prepare" not in said:
        said += capfd.readouterr().out
        assert tunes.is_alive(), said
    (witness.folder / "go").touch()
    for thread in (songs, tunes):
        thread.join(60)
    assert ended == {"songs.yaml": 0, "tunes.yaml": 0}


def test_a_job_that_was_not_run_to_its_end_is_named_with_what_ends_it(
    here: Path, stages: Programs, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["run", write("base", model={}), "--until", "prepare", "--set", "spec.training.steps=40"])
    assert main(["run", write("tunes", model={"from": {"job": "base"}})]) == 65
    assert capfd.readouterr().err == (
        "wait: spec.model.from.job: job base does not run and has not published a model; run it to its end: "
        "mtj run base.yaml --set spec.training.steps=40\n"
    )


def test_a_job_that_was_never_run_is_named(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", write("tunes", model={"from": {"job": "base"}})]) == 65
    assert capfd.readouterr().err == (
        "spec.model.from.job: job base has not been run here; run it first: mtj run FILE, with the file of that job\n"
    )


def test_jobs_that_take_from_each_other_are_refused(
    here: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache/runs").mkdir(parents=True)
    for name, others in (("a", ()), ("b", ("a", "b")), ("c", ("b",))):
        record_of(tmp_path / "cache", name).write_text(record(Run(f"/out/{name}", "/work", "mtj run", others)))
    assert main(["run", write("a", model={"from": {"job": "c"}})]) == 65
    assert capfd.readouterr().err == (
        "spec.model.from.job: job c takes from job a in turn; name a job that does not, or write the place that is "
        "meant\n"
    )


def test_the_last_run_of_a_name_counts(here: Path, stages: Programs, tmp_path: Path) -> None:
    for output in ("one", "two"):
        main(["run", write("base", output=output), "--until", "prepare"])
    run = last_run(tmp_path / "cache", "base")
    assert run is not None
    assert run.output == f"{here}/two"


@pytest.mark.parametrize("found", ["", "[]", "{}", '{"output": "/out"}', '{"takes_from": 3}'])
def test_what_cannot_be_read_of_earlier_runs_was_never_run(tmp_path: Path, found: str) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/base.json").write_text(found)
    assert last_run(tmp_path, "base") is None
    with pytest.raises(JobError):
        awaited(parse_job(text(model={"from": {"job": "base"}})).job, tmp_path)


def test_it_says_beforehand_what_a_job_waits_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write("tunes", dataset={"from": {"job": "songs"}}, model={"from": {"job": "base"}})
    assert main(["validate", file]) == 0
    assert capsys.readouterr().out == "tunes.yaml: ok; waits for job songs and job base\n"
    assert main(["explain", file, "--no-survey"]) == 0
    said = capsys.readouterr().out
    assert "waits for: the data of job songs (dataset.from)\nwaits for: the model of job base (model.from)\n" in said
    assert main(["validate", write("base", model={"from": {"job": "base"}})]) == 65
    assert "base.yaml: spec.model.from.job: the job waits for itself" in capsys.readouterr().err
