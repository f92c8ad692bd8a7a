"""Codes of a whole data set: what is missing is made, what is there is found, and what a job names wrongly is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtj_api import JobError, MusicTrainingJob, parse_job, resolved_json
from mtj_trainer.families.codec import load_codec
from mtj_trainer.families.musicgen.captions import caption
from mtj_trainer.families.musicgen.text import text_states
from mtj_trainer.families.musicgen.weights import save_model
from mtj_trainer.prepare.codes import CodesDataset, CodesInfo
from mtj_trainer.prepare.codes.chunks import text_chunks
from mtj_trainer.prepare.codes.encode import encode_segment
from mtj_trainer.prepare.codes.stage import Codes, make_codes
from mtj_trainer.prepare.split import SIDES
from mtj_trainer.stage import Interrupted
from mtj_trainer.storage import open_storage
from support import music_folder
from support.codes import AUDIO, recordings
from support.jobs import text
from support.musicgen import dac, encodec, tiny
from support.pools import HerePool, NoPool
from support.prepared import chorales, prepare_files, prepare_scores


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with a DAC, an EnCodec, and a MusicGen on that EnCodec."""
    folder = tmp_path_factory.mktemp("models")
    dac().save_pretrained(folder / "dac")
    encodec().save_pretrained(folder / "encodec")
    save_model(open_storage(str(folder / "musicgen")), tiny(encodec()))
    return folder


def job(folder: Path, **model: Any) -> MusicTrainingJob:
    cut = {"segment": {"boundaries": "none"}}  # without what looks for phrases, which takes long to load
    dataset = {"source": str(folder / "music"), "cache": str(folder / "cache"), "audio": cut}
    found = parse_job(text(dataset=dataset, model={"family": "musicgen", **model}, output=str(folder / "out"))).job
    assert found.spec.dataset.modalities == ["audio"]
    return found


def scratch(folder: Path, models: Path, codec: str = "dac") -> MusicTrainingJob:
    """A MusicGen from scratch on a codec."""
    return job(folder, codec={"url": str(models / codec)})


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    return prepare_files(tmp_path, recordings(), AUDIO)


def opened(codes: Codes, tmp_path: Path) -> CodesDataset:
    return CodesDataset.open(codes.url, tmp_path / "work")


def files(folder: Path) -> dict[str, int]:
    """Each file below and when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_every_segment_has_the_codes_that_its_codec_gives(tmp_path: Path, models: Path, dataset: str) -> None:
    made = make_codes(scratch(tmp_path, models), dataset, HerePool())
    codes = opened(made, tmp_path)
    codec = load_codec(open_storage(codes.codec_url))
    assert codes.info == CodesInfo(codebooks=4, codebook_size=64, hop=64, sample_rate=16_000, channels=1)
    frames = 0
    for side in SIDES:
        samples = codes.samples(side)
        assert [sample.audio for sample in samples] == codes.dataset.samples("audio", side)
        for sample in samples:
            expected = encode_segment(codes.dataset.read(sample.audio), codec, 1)
            np.testing.assert_array_equal(codes.read(sample), expected)
            frames += sample.frames
    figures = made.figures()
    assert (figures["prepare.codes.frames"], figures["prepare.codes.captions"]) == (frames, 0)
    assert figures["prepare.codes.seconds"] == pytest.approx(6 * 4, rel=0.01)
    assert figures["prepare.codes.bytes"] >= frames * 4 * 2


def test_a_rerun_makes_nothing_and_asks_no_worker(tmp_path: Path, models: Path, dataset: str) -> None:
    first = make_codes(scratch(tmp_path, models), dataset, HerePool())
    assert (first.made > 0, first.reused) == (True, 0)
    before = files(tmp_path / "cache")
    again = make_codes(scratch(tmp_path, models), dataset, NoPool())
    assert (again.url, again.manifest) == (first.url, first.manifest)
    assert (again.made, again.reused) == (0, first.made)
    assert files(tmp_path / "cache") == before


def test_one_more_file_encodes_its_unit_anew_and_no_other(tmp_path: Path, models: Path) -> None:
    music = recordings(40, 1.2)
    dataset = prepare_files(tmp_path, music, AUDIO)
    first = make_codes(scratch(tmp_path, models), dataset, HerePool())
    more = prepare_files(tmp_path, {"zz.wav": music["00.wav"]}, AUDIO, name="more")
    second = make_codes(scratch(tmp_path, models), more, HerePool())
    assert (second.made, second.reused) == (1, first.made - 1)
    assert second.manifest["segments"] == first.manifest["segments"] + 1


def test_another_codec_makes_other_codes_of_the_same_data(tmp_path: Path, models: Path, dataset: str) -> None:
    first = make_codes(scratch(tmp_path, models), dataset, HerePool())
    second = make_codes(scratch(tmp_path, models, "encodec"), dataset, HerePool())
    assert (second.reused, second.made) == (0, first.made)
    assert second.url != first.url
    opened(first, tmp_path)


def test_a_musicgen_brings_its_codec_and_its_text_encoder(tmp_path: Path, models: Path) -> None:
    rows = b"file_path,genre,caption\n00.wav,waltz,\n01.wav,,A slow piece\n02.wav,,A slow piece\n"
    dataset = prepare_files(tmp_path, {**recordings(), "metadata.csv": rows}, AUDIO)
    alone = make_codes(scratch(tmp_path, models, "encodec"), dataset, HerePool())
    made = make_codes(job(tmp_path, pretrained=str(models / "musicgen")), dataset, HerePool())
    assert made.reused == alone.made  # the codec is the same one, though it lies elsewhere
    codes = opened(made, tmp_path)
    captions = {caption(track) for track in codes.dataset.tracks.values()}
    assert captions > {"A slow piece", "a waltz"}
    assert made.manifest["captions"] == len(captions)
    whole = tiny(encodec())
    for one in captions:
        (expected,) = text_states(whole.complete.text_encoder, whole.tokenizer, [one])
        found = codes.text_states(one)
        assert found is not None
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert codes.text_states("never said") is None
    again = make_codes(job(tmp_path, pretrained=str(models / "musicgen")), dataset, NoPool())
    assert (again.url, again.made) == (made.url, 0)


def test_an_adaptation_has_the_encoders_of_what_it_adapts(tmp_path: Path, models: Path, dataset: str) -> None:
    whole = make_codes(job(tmp_path, pretrained=str(models / "musicgen")), dataset, HerePool())
    adaptation = tmp_path / "adaptation"
    adaptation.mkdir()
    (adaptation / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(models / "musicgen")}))
    (adaptation / "adapter_model.safetensors").write_bytes(b"")
    assert make_codes(job(tmp_path, pretrained=str(adaptation)), dataset, NoPool()).url == whole.url


def test_a_model_of_the_hub_is_known_by_its_commit(
    tmp_path: Path, models: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = iter(("a" * 40, "b" * 40))
    hub = tmp_path / "hub/models--someone--musicgen"
    (hub / "refs").mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for commit in commits:
        (hub / "refs/main").write_text(commit)
        shutil.copytree(models / "musicgen", hub / "snapshots" / commit)
        make_codes(job(tmp_path, pretrained="someone/musicgen"), dataset, HerePool())
        weights = hub / "snapshots" / commit / "model.safetensors"
        weights.unlink()  # whoever loads the model now fails
        make_codes(job(tmp_path, pretrained="someone/musicgen"), dataset, NoPool())
    assert len(list((tmp_path / "cache/codes/encoders").iterdir())) == 2
    assert len(list((tmp_path / "cache/codes/codecs").iterdir())) == 1


def test_a_model_that_hears_no_text_needs_no_states(tmp_path: Path, models: Path, dataset: str) -> None:
    deaf = job(tmp_path, pretrained=str(models / "musicgen"), conditioning=[])
    assert make_codes(deaf, dataset, HerePool()).manifest["captions"] == 0


def test_what_is_stopped_goes_on_from_what_is_done(tmp_path: Path, models: Path, dataset: str) -> None:
    with pytest.raises(Interrupted):
        make_codes(scratch(tmp_path, models), dataset, HerePool(patience=1))
    assert not list((tmp_path / "cache/codes/sets").glob("*"))
    rest = make_codes(scratch(tmp_path, models), dataset, HerePool())
    assert rest.reused == 1
    assert rest.made > 0
    assert sum(len(opened(rest, tmp_path).samples(side)) for side in SIDES) == rest.manifest["segments"]


@pytest.mark.parametrize("field", ["codec", "pretrained"])
def test_a_model_that_is_not_there_is_named_with_its_field(tmp_path: Path, dataset: str, field: str) -> None:
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(JobError, match=f"spec.model.{field}: .*nowhere"):
        make_codes(job(tmp_path, **{field: {"url": nowhere} if field == "codec" else nowhere}), dataset, NoPool())


def test_data_without_recordings_is_refused(tmp_path: Path, models: Path) -> None:
    job_of_midi = scratch(tmp_path, models)
    dataset = prepare_scores(tmp_path, chorales(4), job_of_midi.spec.dataset.midi)
    with pytest.raises(JobError, match=r"spec\.dataset: the data has no recordings"):
        make_codes(job_of_midi, dataset, NoPool())


@pytest.mark.slow
def test_the_stage_as_a_process_encodes_with_its_workers(tmp_path: Path, models: Path) -> None:
    for name, kind in (("a.ogg", "ogg"), ("b.mp3", "mp3"), ("c.flac", "flac"), ("d.wav", "wav")):
        path = tmp_path / "music" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(music_folder.recording(12, kind, rate=44_100, seed=ord(name[0])))
    file = tmp_path / "job.json"
    file.write_text(resolved_json(job(tmp_path, pretrained=str(models / "musicgen"))))
    command = [sys.executable, "-m", "mtj_trainer.prepare", "--job", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "encoding 4 segments, 0:48 of music, with EnCodec 16 kHz, 250 frames/s, 2 at a time" in done.stdout
    written = (tmp_path / "out/stages/prepare.json").read_text()
    record = json.loads(written)
    codes = CodesDataset.open(record["codes"], tmp_path / "work")
    assert sum(len(codes.samples(side)) for side in SIDES) == 4
    assert codes.info.sample_rate == 16_000
    assert record["figures"]["prepare.codes.seconds"] == pytest.approx(48, abs=1)
    assert record["figures"]["prepare.codes.made"] > 0
    subprocess.run(command, capture_output=True, check=True, env={**os.environ, "RAY_ADDRESS": "127.0.0.1:1"})
    assert (tmp_path / "out/stages/prepare.json").read_text() == written


def test_one_more_caption_leaves_other_chunks_as_they_are() -> None:
    captions = [f"a piece at {n} bpm" for n in range(1000)]
    before, after = (
        {chunk.shard for chunk in text_chunks(texts, "encoder")} for texts in (captions, [*captions, "a waltz"])
    )
    assert len(before) > 5
    assert len(after - before) == 1
    assert {chunk.shard for chunk in text_chunks(captions, "other")}.isdisjoint(before)
