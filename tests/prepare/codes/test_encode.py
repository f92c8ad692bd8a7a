"""From a segment to its codes: for its whole length and no more, and the same whoever else is encoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_api.spec import AudioPreparation
from mtj_trainer.families.codec import Codec, codec_of
from mtj_trainer.prepare.codes.arrays import read_array, read_record
from mtj_trainer.prepare.codes.chunks import AudioChunk
from mtj_trainer.prepare.codes.encode import ChunkTask, encode_chunk, encode_in_parts, encode_segment
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.mapped import MappedShards
from mtj_trainer.prepare.split import SIDES
from mtj_trainer.storage import open_storage
from support import music_folder, sounds
from support.musicgen import dac, encodec
from support.prepared import prepare_files


@pytest.fixture(scope="module")
def codec() -> Codec:
    return codec_of(dac())


@pytest.mark.parametrize(
    ("samples", "rate", "channels", "frames"),
    [
        (16_000, 16_000, 1, 250),
        (16_001, 16_000, 1, 251),
        (1, 16_000, 1, 1),
        (16_000, 16_000, 2, 250),
        (44_100, 44_100, 2, 250),
        (8_000, 8_000, 1, 250),
    ],
)
def test_codes_last_as_long_as_the_segment(codec: Codec, samples: int, rate: int, channels: int, frames: int) -> None:
    segment = sounds.noise(samples / rate, channels=channels, rate=rate)
    codes = encode_segment(sounds.encoded(segment, "flac", rate), codec, channels=1)
    assert (codes.shape, codes.dtype) == ((4, frames), np.uint16)
    assert codes.max() < codec.codebook_size


@pytest.mark.parametrize("module", [dac, encodec])
def test_they_are_what_the_codec_says_of_the_sound(module: object) -> None:
    codec = codec_of(module())  # type: ignore[operator]
    segment = sounds.noise(0.5, channels=1, rate=16_000)
    codes = encode_segment(sounds.encoded(segment, "wav", 16_000, "FLOAT"), codec, channels=1)
    np.testing.assert_array_equal(codes, codec.encode(torch.from_numpy(segment.T)[None])[0])


def test_a_stereo_model_has_both_channels_in_turn(codec: Codec) -> None:
    left, right = (sounds.noise(0.2, channels=1, rate=16_000, seed=seed) for seed in (1, 2))
    codes, of_left, of_right = (
        encode_segment(sounds.encoded(sound, "flac", 16_000), codec, channels)
        for sound, channels in ((np.hstack([left, right]), 2), (left, 1), (right, 1))
    )
    np.testing.assert_array_equal(codes[0::2], of_left)
    np.testing.assert_array_equal(codes[1::2], of_right)


@settings(deadline=None, max_examples=8)
@given(samples=st.integers(1, 4_000), part=st.sampled_from([0.02, 0.1, 0.25]))
def test_parts_with_context_say_what_the_whole_says(samples: int, part: float) -> None:
    codec = codec_of(dac())
    audio = torch.from_numpy(sounds.noise(samples / 16_000, channels=1, rate=16_000).T)[None]
    whole, in_parts = codec.encode(audio), encode_in_parts(codec, audio, seconds=part, context_seconds=0.15)
    assert in_parts.shape == whole.shape
    assert (in_parts == whole).float().mean() > 0.99  # all but what rounding decides


def test_a_chunk_is_stored_in_the_order_of_its_segments(codec: Codec, tmp_path: Path) -> None:
    files = {
        "a.ogg": music_folder.recording(3, "ogg", rate=44_100, seed=1),
        "b.mp3": music_folder.recording(3, "mp3", rate=44_100, seed=2),
        "c.flac": music_folder.recording(3, "flac", rate=22_050, channels=1, seed=3),
    }
    cut = {"minSeconds": 1, "maxSeconds": 2, "overlapSeconds": 0}
    audio = AudioPreparation.model_validate({"sampleRate": 16_000, "channels": 1, "segment": cut})
    dataset = PreparedDataset.open(prepare_files(tmp_path, files, audio), tmp_path / "work")
    samples = [sample for side in SIDES for sample in dataset.samples("audio", side)]
    assert {sample.track for sample in samples} == {"a", "b", "c"}
    dac().save_pretrained(tmp_path / "codec")
    cache = open_storage(str(tmp_path / "cache"))
    task = ChunkTask(AudioChunk("one", tuple(samples)), cache.url, cache.url, str(tmp_path / "codec"), channels=1)
    stored = encode_chunk(task)
    assert read_record(cache, "one") == stored
    assert [array.of for array in stored] == [f"{sample.unit}/{sample.member}" for sample in samples]
    shards = MappedShards(cache, tmp_path)
    for array, sample in zip(stored, samples, strict=True):
        expected = encode_segment(dataset.read(sample), codec, channels=1)
        np.testing.assert_array_equal(read_array(shards, array), expected)
        assert array.shape == (4, int(np.ceil(round(sample.length * 16_000) / 64)))
        assert len(np.unique(expected)) > 8
