"""``mtj run``: what it prints, how it ends, and what Ctrl-C does, with small programs for stages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mtj_api import JobError, parse_job, read_resolved_job
from mtj_operator.cli import run as command
from mtj_operator.cli.main import main
from mtj_operator.execute.lock import held
from mtj_operator.plan import Plan, Site, absolute, plan
from support.jobs import SMALLEST, WITH_MODEL, text
from support.witness import Witness, is_alive

Programs = Callable[[dict[str, str]], None]


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    folder = tmp_path / "witness"
    folder.mkdir()
    return Witness(folder)


@pytest.fixture
def stages(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Gives stages another program; those without one end at once."""

    def replace(programs: dict[str, str]) -> None:
        def small(job: object, site: Site) -> Plan:
            real = plan(job, site)  # type: ignore[arg-type]
            return Plan(
                tuple(
                    witness.stage(stage.name, programs.get(stage.name, ""), needs=stage.needs, JOB=site.job_file)
                    for stage in real.stages
                )
            )

        monkeypatch.setattr(command, "plan", small)

    return replace


def test_it_ends_with_where_the_results_lie(here: Path, stages: Programs, capfd: pytest.CaptureFixture[str]) -> None:
    stages({"prepare": "print('chorales, chorales')"})
    Path("job.yaml").write_text(WITH_MODEL)
    assert main(["run", "job.yaml"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "[1/5] prepare",
        "chorales, chorales",
        "[2/5] train",
        "[3/5] evaluate",
        "[4/5] report",
        "[5/5] publish",
        f"model: {here}/out/model",
        f"report: {here}/out/report.html",
        f"figures: {here}/out/figures.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["--set", "spec.model=null"], ["report: {here}/out/report.html", "figures: {here}/out/figures.json"]),
        (
            ["--set", "spec.output=s3://music/out"],
            [
                "model: s3://music/out/model",
                "report: s3://music/out/report.html",
                "figures: s3://music/out/figures.json",
            ],
        ),
        (["--until", "prepare"], ["done as far as prepare; run it again without --until to go on"]),
        (["--until", "report"], ["report: {here}/out/report.html", "figures: {here}/out/figures.json"]),
    ],
)
def test_only_what_was_made_is_named(
    here: Path, stages: Programs, capfd: pytest.CaptureFixture[str], arguments: list[str], lines: list[str]
) -> None:
    stages({})
    Path("job.yaml").write_text(WITH_MODEL)
    assert main(["run", "job.yaml", *arguments]) == 0
    out = [line for line in capfd.readouterr().out.splitlines() if not line.startswith("[")]
    assert out == [line.format(here=here) for line in lines]


def test_stages_get_the_resolved_job_with_absolute_places(here: Path, stages: Programs, witness: Witness) -> None:
    stages({"prepare": "(here / 'job.json').write_text(open(os.environ['JOB']).read())"})
    Path("job.yaml").write_text(WITH_MODEL)
    main(["run", "job.yaml", "--set", "spec.training.steps=40"])
    spec = read_resolved_job(witness.folder / "job.json").spec
    assert (spec.dataset.source, spec.dataset.cache, spec.output) == (
        f"{here}/music",
        f"{here}/out/data",
        f"{here}/out",
    )
    assert spec.training is not None
    assert (spec.training.steps, spec.training.schedule.warmup_steps) == (40, 2)


@pytest.mark.parametrize(
    ("program", "status", "sentence"),
    [
        (
            "pathlib.Path(os.environ['MTJ_TERMINATION_LOG']).write_text('all files are silent'); sys.exit(65)",
            65,
            "prepare: all files are silent",
        ),
        (
            "sys.exit(3)",
            1,
            "prepare: it failed with exit status 3 (see above); the same command goes on where it stopped",
        ),
    ],
)
def test_a_failure_is_one_sentence(
    here: Path, stages: Programs, capfd: pytest.CaptureFixture[str], program: str, status: int, sentence: str
) -> None:
    stages({"prepare": program})
    Path("job.yaml").write_text(SMALLEST)
    assert main(["run", "job.yaml"]) == status
    said = capfd.readouterr()
    assert said.err.strip() == sentence
    assert said.out == "[1/2] prepare\n"


def test_two_runs_of_one_job_do_not_meet(here: Path, stages: Programs, capfd: pytest.CaptureFixture[str]) -> None:
    stages({})
    Path("job.yaml").write_text(SMALLEST)
    folder = command.work_folder(absolute(parse_job(SMALLEST).job, str(here), "/"), os.environ)
    with held(folder):
        assert main(["run", "job.yaml"]) == 65
        assert "this job is already running here, as process" in capfd.readouterr().err
        assert main(["run", "job.yaml", "--set", "spec.output=elsewhere"]) == 0


@pytest.mark.parametrize(
    ("environment", "base"),
    [
        ({"MTJ_WORK_DIR": "/scratch"}, "/scratch"),
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/mtj"),
        ({}, str(Path.home() / ".cache/mtj")),
    ],
)
def test_caches_lie_where_the_user_wants_them(environment: dict[str, str], base: str) -> None:
    folder = command.work_folder(parse_job(SMALLEST).job, environment)
    assert str(folder.parent) == base
    assert folder.name.startswith("chorales-")


def test_a_job_finds_its_folder_again_and_no_other_does() -> None:
    folders = {command.work_folder(parse_job(text(output=output)).job, {}) for output in ("a", "b", "a")}
    assert len(folders) == 2


def test_a_stage_that_is_not_there_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.yaml").write_text(SMALLEST)
    assert main(["run", "job.yaml", "--until", "train"]) == 65
    assert capsys.readouterr().err == "--until: this job has no stage train; name one of prepare, report\n"


INTERRUPTED = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
from mtj_operator.cli import run as command
from mtj_operator.cli.main import main
from mtj_operator.plan import Plan
from support.witness import Witness
witness = Witness(Path(sys.argv[1]))
command.plan = lambda job, site: Plan((witness.stage("prepare", sys.argv[2]),))
sys.exit(main(["run", "job.yaml"]))
"""

SAVES = """
def save(number, frame):
    time.sleep(0.2)
    note("saved")
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
note(f"working {os.getpid()}")
note("ready")
time.sleep(600)
"""

STUBBORN = """
signal.signal(signal.SIGTERM, lambda number, frame: note("asked"))
note(f"working {os.getpid()}")
note("ready")
while True:
    time.sleep(600)
"""


def run_in_background(witness: Witness, program: str) -> subprocess.Popen[str]:
    Path("job.yaml").write_text(SMALLEST)
    return subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(witness.folder), program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_lets_the_stage_save_its_work(here: Path, witness: Witness, how: signal.Signals) -> None:
    with run_in_background(witness, SAVES) as process:
        witness.wait_for("ready")
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 75
    assert witness.notes[-1] == "saved"
    assert said.split("\n") == [
        "",
        "stopping once everything is saved; again to stop at once",
        "prepare: stopped; the same command goes on where it stopped",
        "",
    ]


def test_a_second_signal_does_not_wait(here: Path, witness: Witness) -> None:
    with run_in_background(witness, STUBBORN) as process:
        witness.wait_for("ready")
        process.send_signal(signal.SIGINT)
        witness.wait_for("asked")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 75
    assert not is_alive(int(witness.notes[0].removeprefix("working ")))


def test_the_lock_is_free_when_the_run_is_over(here: Path, stages: Programs) -> None:
    stages({})
    Path("job.yaml").write_text(SMALLEST)
    assert [main(["run", "job.yaml"]), main(["run", "job.yaml"])] == [0, 0]


def test_a_wrong_job_starts_nothing(here: Path, stages: Programs, witness: Witness) -> None:
    stages({"prepare": "note('started')"})
    Path("job.yaml").write_text(SMALLEST + "  colour: blue")
    assert main(["run", "job.yaml"]) == 65
    assert witness.notes == []
    with pytest.raises(JobError):
        command.run("job.yaml", [])
