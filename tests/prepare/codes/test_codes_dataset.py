"""Codes as a model's training reads them: here, elsewhere, and in other processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from mtj_api import JobError
from mtj_trainer.prepare.codes import CodesDataset
from mtj_trainer.prepare.split import SIDES
from mtj_trainer.storage import open_storage
from support.codes import INFO, random_codes

STATES = {"a waltz,\u2028slow": np.ones((3, 8), np.float32), "music": np.zeros((1, 8), np.float32)}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return random_codes(tmp_path_factory.mktemp("codes"), texts=STATES, codec="/codec")


def test_each_segment_has_codes(url: str, tmp_path: Path) -> None:
    codes = CodesDataset.open(url, tmp_path)
    assert (codes.info, codes.info.frame_rate, codes.codec_url) == (INFO, 500.0, "/codec")
    for side in SIDES:
        samples = codes.samples(side)
        assert [sample.audio for sample in samples] == codes.dataset.samples("audio", side)
        assert samples
        for sample in samples:
            array = codes.read(sample)
            assert (array.shape, array.dtype) == ((2, sample.frames), np.uint16)
            assert sample.frames == pytest.approx(sample.audio.length * 500, abs=1)


def test_states_are_found_by_their_caption(url: str, tmp_path: Path) -> None:
    codes = CodesDataset.open(url, tmp_path)
    for caption, states in STATES.items():
        np.testing.assert_array_equal(codes.text_states(caption), states)
    assert codes.text_states("unheard") is None


def test_a_copy_in_another_process_reads_the_same(url: str, tmp_path: Path) -> None:
    codes = CodesDataset.open(url, tmp_path)
    before = [codes.read(sample) for sample in codes.samples("train")]
    again = pickle.loads(pickle.dumps(codes))
    for array, sample in zip(before, again.samples("train"), strict=True):
        np.testing.assert_array_equal(again.read(sample), array)


def test_codes_that_are_not_complete_do_not_open(tmp_path: Path) -> None:
    url = random_codes(tmp_path)
    (tmp_path / "cache/codes/sets/test/manifest.json").unlink()
    with pytest.raises(JobError, match="run the prepare stage"):
        CodesDataset.open(url, tmp_path)


@pytest.mark.slow
def test_codes_that_lie_elsewhere_are_fetched_once(tmp_path: Path, s3_url: str) -> None:
    random_codes(tmp_path)
    here, there = open_storage(str(tmp_path / "cache")), open_storage(s3_url)
    for entry in here.list("codes"):
        there.write(entry.key, here.read(entry.key))
    codes = CodesDataset.open(f"{s3_url}/codes/sets/test", tmp_path / "work")
    sample = codes.samples("train")[0]
    expected = codes.read(sample)
    there.delete("codes/shards/codes.tar")
    np.testing.assert_array_equal(
        CodesDataset.open(f"{s3_url}/codes/sets/test", tmp_path / "work").read(sample), expected
    )
