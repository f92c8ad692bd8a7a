"""Every readable recording becomes samples at the wanted rate and channels; every other is refused with its reason."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_trainer.prepare.audio.decode import decode
from mtj_trainer.prepare.audio.downmix import mix_matrix
from mtj_trainer.prepare.audio.mp3 import counted_seconds, promised_seconds
from mtj_trainer.prepare.quarantine import Unusable
from support import sounds

KINDS = ("wav", "flac", "ogg", "mp3")
HALF = np.sqrt(0.5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (44_100, 1), (22_050, 2), (48_000, 1)])
def test_each_format_comes_at_the_wanted_rate_and_channels(kind: str, rate: int, channels: int) -> None:
    source = sounds.sine(2.0, amplitude=0.5)
    found = decode(sounds.encoded(source, kind), "a", rate, channels)
    assert found.samples.dtype == np.float32
    assert found.samples.shape[1] == channels
    assert (found.sample_rate, found.channels) == (44_100, 2)
    assert found.duration_seconds == pytest.approx(2.0, abs=0.06)  # mp3 pads to whole frames
    middle = found.samples[rate // 2 : rate]
    assert np.sqrt(2 * (middle**2).mean()) == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_each_wav_encoding_is_read(subtype: str) -> None:
    source = sounds.sine(0.5)
    found = decode(sounds.encoded(source, subtype=subtype), "a.wav", sounds.RATE, 2)
    np.testing.assert_allclose(found.samples, source, atol=0.02)


def test_a_192_khz_six_channel_wav_is_mixed_and_resampled() -> None:
    source = sounds.silence(2.0, channels=6, rate=192_000)
    source[:, 2:3] = sounds.sine(2.0, hertz=1000, amplitude=0.4, channels=1, rate=192_000)  # centre
    source[:, 3:4] = sounds.sine(2.0, hertz=50, amplitude=0.9, channels=1, rate=192_000)  # low-frequency effects
    found = decode(sounds.encoded(source, rate=192_000), "a.wav", 44_100, 2)
    assert found.samples.shape == (88_200, 2)
    np.testing.assert_allclose(found.samples, sounds.sine(2.0, 1000, 0.4 * HALF), atol=0.01)


def test_mono_is_the_same_on_both_sides() -> None:
    found = decode(sounds.encoded(sounds.sine(0.5, channels=1)), "a.wav", 44_100, 2)
    assert found.samples.shape[1] == 2
    np.testing.assert_array_equal(found.samples[:, 0], found.samples[:, 1])


@pytest.mark.parametrize(
    ("channels", "vorbis_order", "left", "right"),
    [
        (1, False, [1], [1]),
        (2, False, [1, 0], [0, 1]),
        (6, False, [1, 0, HALF, 0, HALF, 0], [0, 1, HALF, 0, 0, HALF]),
        (6, True, [1, HALF, 0, HALF, 0, 0], [0, HALF, 1, 0, HALF, 0]),
        (8, False, [1, 0, HALF, 0, HALF, 0, HALF, 0], [0, 1, HALF, 0, 0, HALF, 0, HALF]),
        (10, False, [0.1] * 10, [0.1] * 10),
    ],
)
def test_downmix_by_itu_r_bs_775(channels: int, vorbis_order: bool, left: list[float], right: list[float]) -> None:
    matrix = mix_matrix(channels, 2, vorbis_order=vorbis_order)
    np.testing.assert_allclose(matrix, np.array([left, right]).T, rtol=1e-6)
    np.testing.assert_allclose(mix_matrix(channels, 1, vorbis_order=vorbis_order)[:, 0], matrix.mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.15, 0.5, 0.9])
def test_a_truncated_file_is_refused(kind: str, kept: float) -> None:
    whole = sounds.encoded(sounds.noise(8.0), kind)
    with pytest.raises(Unusable, match="truncated"):
        decode(whole[: int(kept * len(whole))], f"cut.{kind}", sounds.RATE, 2)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty-file"),
        (b"These are the liner notes, not the music.\n" * 20, "not-audio"),
        (b"<html><body>404</body></html>", "not-audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "not-audio"),
        (b"RIFF" + struct.pack("<I", 36) + b"AVI LIST" + bytes(200), "truncated"),
        (b"fLaC" + bytes(400), "unreadable"),
        (b"RIFF", "unreadable"),
        (sounds.encoded(sounds.noise(1.0), rate=300), "unreadable"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(100), "unreadable"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Unusable) as refused:
        decode(data, "file.wav", sounds.RATE, 2)
    assert refused.value.reason == reason
    assert refused.value.detail.startswith("file.wav ")


def test_samples_that_are_no_numbers_are_refused() -> None:
    source = sounds.sine(1.0)
    source[1000] = np.nan
    with pytest.raises(Unusable, match="unreadable"):
        decode(sounds.encoded(source, subtype="FLOAT"), "a.wav", sounds.RATE, 2)


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_does_not_know_its_length_and_is_read(size: int) -> None:
    whole = bytearray(sounds.encoded(sounds.sine(1.0)))
    at = whole.index(b"data") + 4
    whole[at : at + 4] = struct.pack("<I", size)
    found = decode(bytes(whole), "a.wav", sounds.RATE, 2)
    assert found.duration_seconds == pytest.approx(1.0, abs=0.01)


def test_a_flac_from_a_pipe_which_libsndfile_cannot_read_is_refused() -> None:
    whole = bytearray(sounds.encoded(sounds.noise(1.0), "flac"))
    whole[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples (RFC 9639, section 8.2)
    whole[22:26] = bytes(4)
    with pytest.raises(Unusable, match="does not say how long it is"):
        decode(bytes(whole), "a.flac", sounds.RATE, 2)


@pytest.mark.parametrize("rate", [44_100, 32_000, 22_050, 8_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("before", [b"", b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)], ids=["bare", "ID3"])
def test_an_mp3_without_a_header_of_its_length_is_read_to_its_end(rate: int, channels: int, before: bytes) -> None:
    """libsndfile guesses its length from the bit rate of its first frame, which of this one is far from the mean."""
    silent_then_loud = np.concatenate([sounds.silence(3.0, channels, rate), sounds.noise(6.0, 0.3, channels, rate)])
    whole = sounds.encoded(silent_then_loud, "mp3", rate)
    stream = before + whole[whole.index(whole[:2], 4) :]  # without the first frame, which holds the header
    assert promised_seconds(stream) is None
    assert counted_seconds(stream) == pytest.approx(9.0, abs=0.2)
    assert decode(stream, "a.mp3", sounds.RATE, 2).duration_seconds == pytest.approx(9.0, abs=0.2)


def test_ogg_files_that_were_joined_are_refused_for_libsndfile_reads_only_the_first() -> None:
    with pytest.raises(Unusable, match="one after another"):
        decode(sounds.encoded(sounds.noise(2.0), "ogg") * 2, "a.ogg", sounds.RATE, 2)


def test_mp3_files_that_were_joined_are_read_to_the_end_of_the_last() -> None:
    joined = sounds.encoded(sounds.noise(2.0), "mp3") + sounds.encoded(sounds.noise(3.0), "mp3")
    assert decode(joined, "a.mp3", sounds.RATE, 2).duration_seconds == pytest.approx(5.0, abs=0.3)


DAMAGED = {kind: sounds.encoded(sounds.noise(1.0), kind) for kind in KINDS}


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    damage=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), max_size=20),
    kept=st.floats(0.0, 1.0),
)
def test_no_damage_stops_the_others(kind: str, damage: list[tuple[int, int]], kept: float) -> None:
    """Whatever the bytes are, they decode or are set aside: no other exception, and no crash of the decoder."""
    data = bytearray(DAMAGED[kind])
    for at, byte in damage:
        data[at % len(data)] = byte
    try:
        found = decode(bytes(data[: int(kept * len(data))]), "damaged", sounds.RATE, 2)
    except Unusable:
        return
    assert np.isfinite(found.samples).all()


def test_the_length_in_an_mp3_header_is_the_length_that_is_decoded(tmp_path: Path) -> None:
    promised = promised_seconds(sounds.encoded(sounds.sine(3.0), "mp3"))
    assert promised is not None
    assert promised == pytest.approx(3.0, abs=0.1)


def test_a_reason_survives_its_way_from_a_worker() -> None:
    sent = Unusable("silent", "a.wav holds no sound")
    received = pickle.loads(pickle.dumps(sent))
    assert (received.reason, received.detail, str(received)) == ("silent", sent.detail, "silent: a.wav holds no sound")
