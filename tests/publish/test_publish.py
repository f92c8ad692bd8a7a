"""The published model: complete, usable as its card says, and described by the job's own numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from symusic import Score

from mtj_api import JobError
from mtj_trainer.families.symbolic import load_model
from mtj_trainer.publish.stage import RECORD, publish
from mtj_trainer.storage import open_storage
from support.finished import copy_of, evaluated_job

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    publish(copy_of(evaluated_job(), folder))
    return folder / "out"


def test_the_folder_is_a_model_that_a_later_job_can_start_from(output: Path) -> None:
    model, tokenizer = load_model(open_storage(str(output / "model")))
    assert tokenizer.size == model.config.vocabulary
    assert sorted(path.name for path in (output / "model").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (output / "model" / name).read_bytes() == (output / "train/best" / name).read_bytes()


def test_the_code_on_the_card_runs_as_it_stands(output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (output / "model/README.md").read_text(), re.DOTALL)
    (tmp_path / "model").symlink_to(output / "model")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "card", "exec"), {})
    assert sum(len(track.notes) for track in Score(tmp_path / "piece.mid").tracks) > 8


def test_the_card_has_front_matter_data_figures_and_the_job(output: Path) -> None:
    card = (output / "model/README.md").read_text()
    _, front, body = card.split("---\n", 2)
    figures = json.loads((output / "stages/evaluate.json").read_text())["figures"]
    metadata = yaml.safe_load(front)
    (metric, _) = metadata["model-index"][0]["results"][0]["metrics"]
    assert metric["value"] == pytest.approx(figures["heldout.nll"], abs=1e-4)
    for heading in ("# chorales", "## Use", "## Data", "## Figures", "## Recipe", "## Limits"):
        assert f"\n{heading}\n" in body
    for name in ("heldout.nll", "baseline.ngram.nll", "baseline.untrained.nll"):
        assert f" {figures[name]:.2f} |" in body
    (job,) = re.findall(r"```yaml\n(.*?)```", body, re.DOTALL)
    assert yaml.safe_load(job)["metadata"]["name"] == "chorales"
    assert "2 files of the source" in body


def test_its_tables_are_tables(output: Path) -> None:
    card = (output / "model/README.md").read_text()
    tables = re.findall(r"(?:^\|.*\|\n)+", card, re.MULTILINE)
    assert len(tables) == 3
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
        assert re.fullmatch(r"[| :-]+", table.splitlines()[1])


def test_publishing_again_writes_nothing_and_a_broken_folder_is_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = copy_of(evaluated_job(), tmp_path)
    publish(job)
    card = tmp_path / "out/model/README.md"
    before = card.stat().st_mtime_ns
    capsys.readouterr()
    publish(job)
    assert "nothing to do" in capsys.readouterr().out
    assert card.stat().st_mtime_ns == before
    (tmp_path / "out" / RECORD).unlink()
    (tmp_path / "out/model/model.safetensors").write_bytes(b"half")
    (tmp_path / "out/model/adapter_model.safetensors").write_bytes(b"of a model that was here before")
    publish(job)
    assert not (tmp_path / "out/model/adapter_model.safetensors").exists()
    load_model(open_storage(str(tmp_path / "out/model")))


def test_without_training_it_says_so(tmp_path: Path) -> None:
    job = copy_of(evaluated_job(), tmp_path)
    (tmp_path / "out/stages/train.json").unlink()
    with pytest.raises(JobError, match="train"):
        publish(job)
