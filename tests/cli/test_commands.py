"""``mtj validate``, ``explain`` and ``crd`` as a user calls them, and what they never load."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mtj_api.crd import custom_resource_definition_yaml
from mtj_api.document import LARGEST_TEXT
from mtj_operator.cli.main import main
from support.jobs import SMALLEST, WITH_MODEL

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "manifests/samples").glob("*.yaml"))


def wrong(*arguments: str) -> tuple[int, str]:
    """Exit status and what is said of ``mtj`` with these arguments."""
    done = subprocess.run(
        [sys.executable, "-m", "mtj_operator.cli", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.strip()


def test_a_right_job_is_ok(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.yaml").write_text(SMALLEST)
    assert main(["validate", "job.yaml"]) == 0
    assert capsys.readouterr().out == "job.yaml: ok\n"


def typed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Put this on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_a_job_may_come_from_standard_input(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, SMALLEST.encode())
    assert main(["validate", "-"]) == 0
    assert capsys.readouterr().out == "-: ok\n"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"MThd\x00\x00\x00\x06\x00\x01\xff", "the job file is not text; write it as YAML in UTF-8"),
        ("\u266b".encode() * LARGEST_TEXT, "the file is larger than 1 MiB; keep one job a file"),
    ],
    ids=["music", "megabytes"],
)
def test_what_is_no_job_file_is_told_of_alike_wherever_it_comes_from(
    data: bytes, sentence: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, data)
    Path("song.mid").write_bytes(data)
    assert main(["validate", "-", "song.mid"]) == 65
    assert capsys.readouterr().err.splitlines() == [f"standard input: {sentence}", f"song.mid: {sentence}"]


def test_each_of_several_jobs_is_told_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text(SMALLEST + "  colour: blue\n  output: x")
    Path("b.yaml").write_text(SMALLEST)
    assert main(["validate", "a.yaml", "b.yaml", "c.yaml"]) == 65
    said = capsys.readouterr()
    assert said.out == "b.yaml: ok\n"
    assert said.err.splitlines() == [
        "a.yaml:8: spec.output is given twice; keep one (see line 6)",
        "c.yaml: cannot read the job file (No such file or directory); name a file with a MusicTrainingJob",
    ]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_right(sample: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "recordings").mkdir()
    model = here / "out/chorales/model"
    model.mkdir(parents=True)
    (model / "model.safetensors").touch()
    assert main(["validate", str(sample)]) == 0


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_short(sample: Path) -> None:
    assert len(sample.read_text(encoding="utf-8").splitlines()) < 40


PLACES = {
    "no source": (
        SMALLEST.replace("./music", "./musik"),
        "job.yaml: spec.dataset.source: there is no folder {here}/musik; name a folder with audio or MIDI files",
    ),
    "a file for a source": (
        SMALLEST.replace("./music", "./job.yaml").replace("./out", "/tmp/mtj-out"),
        "job.yaml: spec.dataset.source: {here}/job.yaml is a file; name the folder that it lies in: {here}",
    ),
    "no model to go on from": (
        SMALLEST + "  model: {pretrained: ./music}",
        (
            "job.yaml: spec.model.pretrained: there is no model in {here}/music; "
            "name the 'model' folder of a finished job"
        ),
    ),
    "output in the source": (
        SMALLEST.replace("./out", "./music/out"),
        (
            "job.yaml: spec.output: {here}/music/out lies in dataset.source, so the next run would take what is "
            "written there for music; name a place outside of the source"
        ),
    ),
    "output below a file": (
        SMALLEST.replace("./out", "./job.yaml/out"),
        "job.yaml: spec.output: {here}/job.yaml is a file, so no folder can be made there; name another",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), PLACES.values(), ids=PLACES)
def test_places_on_this_machine_are_looked_at(
    text: str, sentence: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("job.yaml").write_text(text)
    assert main(["validate", "job.yaml"]) == 65
    assert capsys.readouterr().err.strip() == sentence.format(here=here)


def test_a_source_beside_the_job_file_is_not_the_one_in_the_working_directory(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = here / "project"
    (project / "tunes").mkdir(parents=True)
    (project / "job.yaml").write_text(SMALLEST.replace("./music", "tunes"))
    assert main(["validate", "project/job.yaml"]) == 65
    assert capsys.readouterr().err.strip() == (
        f"project/job.yaml: spec.dataset.source: there is no folder {here}/tunes, as relative paths start at the "
        "working directory; run mtj in project, or write project/tunes"
    )


def test_the_folder_of_a_finished_job_is_nearly_its_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "done/model").mkdir(parents=True)
    (here / "done/model/model.safetensors").touch()
    Path("job.yaml").write_text(SMALLEST + "  model: {pretrained: done}")
    assert main(["validate", "job.yaml"]) == 65
    assert capsys.readouterr().err.strip().endswith(f"there is no model in {here}/done; write {here}/done/model")


def test_explain_gives_every_value_with_its_reason(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.yaml").write_text(WITH_MODEL)
    assert main(["explain", "job.yaml", "--no-survey", "--set", "spec.training.steps=40"]) == 0
    said = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "training.steps 40 set in the job" in lines
    assert "training.schedule.warmupSteps 2 a twentieth of the steps, at most 1000" in lines
    assert "memory of the training process, about" in lines
    assert "music: the source was not looked at (it was not asked for)" in lines


def test_a_source_that_nobody_looks_at_may_be_elsewhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.yaml").write_text(WITH_MODEL.replace("./music", "./musik"))
    assert main(["explain", "job.yaml"]) == 65
    assert f"there is no folder {here}/musik" in capsys.readouterr().err
    assert main(["explain", "job.yaml", "--no-survey"]) == 0
    assert "music: the source was not looked at (it was not asked for)" in capsys.readouterr().out


def test_explain_of_data_alone_says_nothing_of_training(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.yaml").write_text(SMALLEST)
    main(["explain", "job.yaml", "--no-survey"])
    said = capsys.readouterr().out
    assert "dataset.split.train" in said
    assert not any(word in said for word in ("evaluation.", "checkpoint.", "scheduling.", "memory"))


def test_explain_says_of_a_cluster_only_what_was_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.yaml").write_text(WITH_MODEL)
    main(["explain", "job.yaml", "--no-survey"])
    assert not any(word in capsys.readouterr().out for word in ("scheduling.", "deepspeed."))
    main(["explain", "job.yaml", "--no-survey", "--set", "spec.scheduling.resources.train.cpu=4"])
    said = [line.split()[0] for line in capsys.readouterr().out.splitlines() if " scheduling." in line]
    retries = [f"scheduling.retries.{of}" for of in ("prepare", "train", "evaluate", "disruptions")]
    assert said == ["scheduling.resources.train.cpu", *retries]


def test_explain_says_what_each_process_holds_of_what_is_divided(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("job.yaml").write_text(WITH_MODEL)
    many = ["spec.training.nodes=2", "spec.training.processesPerNode=2", "spec.training.engine=deepspeed"]
    offload = ["spec.training.deepspeed.zeroStage=3", "spec.training.deepspeed.offload=all"]
    main(["explain", "job.yaml", "--no-survey", *(f"--set={setting}" for setting in (*many, *offload))])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "memory of each of 4 training processes on 2 machines, about" in lines
    assert "weights 1.9 MiB divided by 4 in the machine's memory" in lines
    assert "gradients 1.9 MiB divided by 4" in lines


def test_what_lies_on_a_volume_of_pods_is_looked_for_only_to_run(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = "{name: a, mountPath: /nowhere, persistentVolumeClaim: {claimName: a}}"
    job = SMALLEST.replace("./music", "/nowhere/music").replace("./out", "/nowhere/out")
    Path("job.yaml").write_text(f"{job}  scheduling: {{podTemplate: {{volumes: [{volume}]}}}}")
    assert main(["validate", "job.yaml"]) == 0
    assert main(["run", "job.yaml"]) == 65
    assert "there is no folder /nowhere/music" in capsys.readouterr().err


def test_explain_as_json_is_for_programs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.yaml").write_text(WITH_MODEL + "  training: {precision: fp16}")
    main(["explain", "job.yaml", "--no-survey", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"values", "memory", "survey", "not_surveyed", "machine", "advice"}
    assert {"path": "spec.output", "value": "./out", "reason": "set in the job"} in said["values"]
    assert said["memory"]["total"] == sum(size for part, size in said["memory"].items() if part != "total")


def test_crd_prints_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crd"]) == 0
    assert capsys.readouterr().out == custom_resource_definition_yaml()


def test_output_that_nobody_reads_is_no_fault() -> None:
    done = subprocess.run(
        f"{sys.executable} -m mtj_operator.cli crd | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("apiVersion: apiextensions.k8s.io/v1\n", "")


@pytest.mark.parametrize("command", [[], ["run"], ["validate"], ["explain"], ["crd"], ["logs"]])
def test_help_has_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    assert left.value.code == 0
    assert "examples:\n  mtj " in capsys.readouterr().out


def test_the_operator_says_what_to_install_where_what_it_needs_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kopf", None)
    monkeypatch.delitem(sys.modules, "mtj_operator.control.main", raising=False)
    assert main(["operator", "--trainer-image=trainer:1"]) == 65
    assert capsys.readouterr().err.strip() == (
        "what speaks to a cluster is not installed (kopf); write pip install 'music-training-job[operator]'"
    )


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("mtj 0.")


@pytest.mark.parametrize("command", [["validate", "job.yaml"], ["explain", "job.yaml", "--no-survey"], ["crd"]])
def test_an_answer_that_needs_no_training_loads_nothing_that_trains(here: Path, command: list[str]) -> None:
    Path("job.yaml").write_text(WITH_MODEL)
    program = (
        "import sys; from mtj_operator.cli.main import main; status = main(sys.argv[1:]);"
        "heavy = {'torch', 'ray', 'numpy', 'obstore', 'mtj_trainer', 'asyncio'} & set(sys.modules);"
        "print(heavy, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"


def test_a_wrong_job_ends_with_the_exit_status_of_the_contract(here: Path) -> None:
    Path("job.yaml").write_text(SMALLEST + "  colour: blue")
    for command in ("validate", "explain", "run"):
        status, said = wrong(command, "job.yaml")
        assert status == 65
        assert said.startswith("job.yaml:7: spec.colour: there is no such field")
        assert "Traceback" not in said
