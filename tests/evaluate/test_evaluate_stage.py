"""The evaluate stage on real chorales and a tiny trained model: what it writes, and that it is written once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from symusic import Score

from mtj_api import JobError
from mtj_trainer.evaluate.compare import DISTANCES
from mtj_trainer.evaluate.sound import measure
from mtj_trainer.evaluate.stage import RECORD, evaluate
from support.finished import copy_of, evaluated_job

BASELINES = ("untrained", "ngram")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def output() -> Path:
    return Path(evaluated_job().spec.output)


@pytest.fixture(scope="module")
def figures(output: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((output / RECORD).read_text())["figures"]
    return found


def test_training_and_counting_beat_no_training(figures: dict[str, float]) -> None:
    assert figures["heldout.nll"] < figures["baseline.untrained.nll"] / 2
    assert figures["baseline.ngram.nll"] < figures["baseline.untrained.nll"] / 2
    assert figures["baseline.untrained.nll"] == pytest.approx(np.log(331), abs=0.2), (
        "close to guessing among 331 tokens"
    )
    assert figures["heldout.accuracy"] > figures["baseline.untrained.accuracy"]


def test_every_figure_stands_beside_its_baselines(figures: dict[str, float]) -> None:
    for name in ("nll", "accuracy", "nll_per_note", "nll_per_beat", "bits_per_note"):
        assert {f"heldout.{name}", *(f"baseline.{b}.{name}" for b in BASELINES)} <= figures.keys()
    for name in ("request.key.match", "request.key.fit", *DISTANCES):
        assert {name, *(f"baseline.{b}.{name}" for b in BASELINES)} <= figures.keys()
    assert {f"floor.{name}" for name in DISTANCES} <= figures.keys()
    assert np.isfinite(list(figures.values())).all()


def test_real_music_is_nearer_to_held_out_music_than_noise_is(figures: dict[str, float]) -> None:
    for name in ("rhythm.distance", "duration.distance", "range.distance"):
        assert figures[f"floor.{name}"] < figures[f"baseline.untrained.{name}"]


def test_what_the_grid_cannot_say_is_not_claimed(figures: dict[str, float]) -> None:
    assert not [name for name in figures if "tempo" in name or "metre" in name or "instruments" in name]


def test_samples_are_complete_and_sound(output: Path, figures: dict[str, float]) -> None:
    entries = json.loads((output / "samples/samples.json").read_text())
    assert [entry["kind"] for entry in entries] == ["request", "continuation"]
    listed = {name for entry in entries for name in entry["files"].values()}
    assert listed == {f"samples/{path.name}" for path in (output / "samples").iterdir()} - {"samples/samples.json"}
    for entry in entries:
        score = Score(output / entry["files"]["midi"])
        seconds = score.to("second").end()
        for kind in ("wav", "mp3"):
            audio, rate = soundfile.read(output / entry["files"][kind], dtype="float32", always_2d=True)
            sound = measure(audio, rate)
            assert not sound.is_silent
            assert not sound.is_clipped
            assert seconds - 0.1 <= sound.seconds <= seconds + 10
        assert figures[f"sample.{entry['name']}.seconds"] == pytest.approx(entry["sound"]["seconds"])
    assert figures["samples.audible"] == 1.0


def test_a_request_has_its_bars_and_a_continuation_its_prompt(output: Path) -> None:
    request, continuation = json.loads((output / "samples/samples.json").read_text())
    assert request["found"]["beats"] == pytest.approx(2 * 4)
    assert continuation["prompt_beats"] == pytest.approx(2 * 4, abs=4)
    assert continuation["found"]["beats"] > continuation["prompt_beats"]
    assert continuation["track"] in continuation["name"] or continuation["title"].lower() in continuation["name"]


def test_a_rerun_does_nothing_and_other_settings_do_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = copy_of(evaluated_job(), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    evaluate(job)
    assert "nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    shorter = job.spec.evaluation.model_copy(update={"requests": [], "continuations": 0, "render": "none"})
    job.spec.evaluation = shorter
    evaluate(job)
    assert json.loads((tmp_path / "out/samples/samples.json").read_text()) == []
    assert [path.name for path in (tmp_path / "out/samples").iterdir()] == ["samples.json"]


def test_without_the_stages_before_it_says_so(tmp_path: Path) -> None:
    job = copy_of(evaluated_job(), tmp_path)
    (tmp_path / "out/stages/train.json").unlink()
    with pytest.raises(JobError, match="train"):
        evaluate(job)


def test_weights_are_part_of_what_was_evaluated(tmp_path: Path) -> None:
    job = copy_of(evaluated_job(), tmp_path)
    weights = tmp_path / "out/train/best/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    old = json.loads((tmp_path / "out" / RECORD).read_text())["fingerprint"]
    job.spec.evaluation = job.spec.evaluation.model_copy(update={"requests": [], "continuations": 0})
    evaluate(job)
    assert json.loads((tmp_path / "out" / RECORD).read_text())["fingerprint"] != old
