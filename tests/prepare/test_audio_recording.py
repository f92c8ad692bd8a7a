"""A recording as a whole: music that FluidSynth played comes out standardized, cut at its phrases and described."""

from __future__ import annotations

import io
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
import pytest
import soundfile

from mtj_api.spec import AudioPreparation, Segmentation
from mtj_trainer.prepare.audio import Recording, prepare_recording
from mtj_trainer.prepare.quarantine import Unusable
from support import orchestra, sounds

STEREO: dict[str, Any] = {"sample_rate": 44_100, "channels": 2}
PLAIN = AudioPreparation(**STEREO)
DESCRIBED = AudioPreparation(**STEREO, features=["tempo", "key", "loudness", "mel"])


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("orchestra")


@pytest.fixture(scope="session")
def chorale(scratch: Path) -> bytes:
    """Aus meines Herzens Grunde, BWV 269: G major, 45 s."""
    return orchestra.render(orchestra.chorale("bwv269", scratch / "chorale.mid"), scratch / "chorale.wav")


@pytest.fixture(scope="session")
def prepared_chorale(chorale: bytes) -> Recording:
    return prepare_recording(chorale, "chorale.wav", DESCRIBED)


def whole(recording: Recording, rate: int = 44_100) -> sounds.Samples:
    """The segments joined again, without their overlaps."""
    end = round((recording.segments[-1].start_seconds + recording.segments[-1].seconds) * rate)
    first = round(recording.segments[0].start_seconds * rate)
    samples = sounds.decoded(recording.segments[0].flac)[0]
    out = np.zeros((end - first, samples.shape[1]), dtype=np.float32)
    for segment in recording.segments:
        samples, _ = sounds.decoded(segment.flac)
        at = round(segment.start_seconds * rate) - first
        inner = slice(at + 500 if at else 0, at + len(samples))  # the fade in lies within the overlap
        out[inner] = samples[inner.start - at :]
    return out


def test_what_a_recording_was_is_told(prepared_chorale: Recording) -> None:
    assert prepared_chorale.duration_seconds == pytest.approx(45.0, abs=1.0)
    assert (prepared_chorale.sample_rate, prepared_chorale.channels) == (44_100, 2)
    assert prepared_chorale.tags == {}


def test_loudness_and_peak_are_those_of_the_settings(prepared_chorale: Recording) -> None:
    samples = whole(prepared_chorale)
    assert pyloudnorm.Meter(44_100).integrated_loudness(samples.astype(float)) == pytest.approx(-14.0, abs=0.5)
    assert 20 * np.log10(np.abs(samples).max()) <= -1.0 + 0.1


def test_segments_overlap_and_cover_the_music_within_their_bounds(prepared_chorale: Recording) -> None:
    segments = prepared_chorale.segments
    assert all(10.0 <= segment.seconds <= 30.0 for segment in segments)
    assert segments[0].start_seconds < 0.5
    assert segments[-1].start_seconds + segments[-1].seconds > 42.0
    for before, after in pairwise(segments):
        assert before.start_seconds + before.seconds - after.start_seconds == pytest.approx(1.0, abs=1e-3)
    for segment in segments:
        samples, rate = sounds.decoded(segment.flac)
        assert len(samples) / rate == pytest.approx(segment.seconds)


def test_segments_begin_and_end_without_a_click(prepared_chorale: Recording) -> None:
    for segment in prepared_chorale.segments:
        samples, _ = sounds.decoded(segment.flac)
        steps = np.abs(np.diff(samples, axis=0)).max(axis=1)
        for edge in (samples[:20], samples[-20:]):
            assert np.abs(edge).max() < 0.01
        assert max(steps[:441].max(), steps[-441:].max()) <= np.quantile(steps, 0.9999)


@pytest.mark.parametrize(
    ("tonic", "minor", "program", "key"),
    [
        (60, False, orchestra.PIANO, "Cmaj"),
        (57, True, orchestra.STRINGS, "Amin"),
        (63, False, orchestra.STRINGS, "Ebmaj"),
        (66, True, orchestra.ORGAN, "F#min"),
        (55, False, orchestra.ORGAN, "Gmaj"),
    ],
)
@pytest.mark.parametrize("tempo", [92.0])
def test_the_key_and_tempo_found_are_those_written(
    scratch: Path, tonic: int, minor: bool, program: int, key: str, tempo: float
) -> None:
    score = orchestra.cadences(8, tempo, tonic, minor, program)
    score.dump_midi(scratch / "cadences.mid")
    settings = AudioPreparation(**STEREO, features=["tempo", "key"])
    found = prepare_recording(orchestra.render(scratch / "cadences.mid", scratch / "cadences.wav"), "a.wav", settings)
    assert found.key == key
    assert found.tempo is not None
    octave = 2 ** np.round(np.log2(found.tempo / tempo))
    assert found.tempo / octave == pytest.approx(tempo, rel=0.04)


def test_the_chorales_key_and_tempo_are_found(prepared_chorale: Recording) -> None:
    assert prepared_chorale.key == "Gmaj"
    assert prepared_chorale.tempo == pytest.approx(120.0, rel=0.04)
    assert [set(segment.features) for segment in prepared_chorale.segments] == [
        {"tempo", "key", "loudness", "mel"}
    ] * len(prepared_chorale.segments)


def test_the_chorale_is_cut_where_its_phrases_end(chorale: bytes, prepared_chorale: Recording) -> None:
    """At a cut the music has died away: it is far softer than what it is around."""
    samples = whole(prepared_chorale)
    power = (samples**2).mean(axis=1)
    first = prepared_chorale.segments[0].start_seconds
    for segment in prepared_chorale.segments[:-1]:
        cut = round((segment.start_seconds + segment.seconds - first) * 44_100)
        assert power[cut - 1000 : cut - 500].mean() < 0.2 * power[cut - 66_150 : cut + 66_150].mean()


def test_the_same_bytes_and_settings_give_the_same_segments(chorale: bytes, prepared_chorale: Recording) -> None:
    again = prepare_recording(chorale, "chorale.wav", DESCRIBED)
    assert [segment.flac for segment in again.segments] == [segment.flac for segment in prepared_chorale.segments]
    for mine, other in zip(again.segments, prepared_chorale.segments, strict=True):
        np.testing.assert_array_equal(mine.features["mel"], other.features["mel"])


@pytest.mark.parametrize("boundaries", ["phrase", "beat", "none"])
def test_every_way_of_cutting_covers_the_recording(chorale: bytes, boundaries: str) -> None:
    segmentation = Segmentation.model_validate(
        {"minSeconds": 5.0, "maxSeconds": 9.0, "overlapSeconds": 0.5, "boundaries": boundaries}
    )
    found = prepare_recording(chorale, "chorale.wav", AudioPreparation(**STEREO, segment=segmentation)).segments
    assert all(5.0 <= segment.seconds <= 9.0 for segment in found)
    assert all(b.start_seconds < a.start_seconds + a.seconds for a, b in pairwise(found))


def test_features_describe_the_segment_as_it_is_stored(prepared_chorale: Recording) -> None:
    for segment in prepared_chorale.segments:
        samples, rate = sounds.decoded(segment.flac)
        expected = pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(samples)
        assert segment.features["loudness"] == pytest.approx(expected, abs=0.05)


def test_a_192_khz_six_channel_recording_is_standardized() -> None:
    source = sounds.noise(12.0, 0.05, channels=6, rate=192_000)
    found = prepare_recording(sounds.encoded(source, rate=192_000), "surround.wav", PLAIN)
    samples, rate = sounds.decoded(found.segments[0].flac)
    assert (found.sample_rate, found.channels, found.duration_seconds) == (192_000, 6, 12.0)
    assert (rate, samples.shape[1]) == (44_100, 2)
    assert pyloudnorm.Meter(rate).integrated_loudness(samples) == pytest.approx(-14.0, abs=0.5)


@pytest.mark.parametrize(("depth", "subtype"), [(16, "PCM_16"), (24, "PCM_24")])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2)])
def test_stored_audio_has_the_format_of_the_settings(depth: int, subtype: str, rate: int, channels: int) -> None:
    settings = AudioPreparation.model_validate({"sampleRate": rate, "channels": channels, "bitDepth": depth})
    found = prepare_recording(sounds.encoded(sounds.noise(11.0), "ogg"), "a.ogg", settings)
    stored = soundfile.info(io.BytesIO(found.segments[0].flac))
    assert (stored.format, stored.subtype, stored.samplerate, stored.channels) == ("FLAC", subtype, rate, channels)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (sounds.sine(0.2), "too-short"),
        (np.concatenate([sounds.sine(5.0), sounds.silence(30.0)]), "too-short"),
        (sounds.silence(20.0), "silent"),
        (sounds.noise(20.0, 1e-5), "silent"),
        (sounds.silence(0.0), "too-short"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_its_reason(samples: sounds.Samples, reason: str) -> None:
    with pytest.raises(Unusable) as refused:
        prepare_recording(sounds.encoded(samples), "Été à la mer.wav", PLAIN)
    assert refused.value.reason == reason
    assert "Été à la mer.wav" in refused.value.detail


def test_without_trimming_silence_stays_and_counts() -> None:
    samples = np.concatenate([sounds.sine(5.0), sounds.silence(20.0)])
    found = prepare_recording(sounds.encoded(samples), "a.wav", AudioPreparation(**STEREO, trim_silence=False))
    assert found.segments[0].start_seconds == 0.0
    assert found.segments[-1].start_seconds + found.segments[-1].seconds == pytest.approx(25.0)


def test_what_is_trimmed_counts_in_the_time_of_a_segment() -> None:
    samples = np.concatenate([sounds.silence(3.0), sounds.noise(12.0)])
    found = prepare_recording(sounds.encoded(samples), "a.wav", PLAIN)
    assert found.segments[0].start_seconds == pytest.approx(2.95, abs=0.02)


@pytest.mark.slow
def test_a_recording_with_pauses_needs_neither_librosa_nor_torch() -> None:
    """They take seconds to import, and each worker would pay."""
    program = """
import sys
from mtj_api.spec import AudioPreparation
from mtj_trainer.prepare.audio import prepare_recording
from support import sounds
settings = AudioPreparation(sample_rate=44_100, channels=2)
prepare_recording(sounds.encoded(sounds.phrases([9.0] * 6, gap=0.6)), "a.wav", settings)
print(sorted({"librosa", "numba", "torch"} & set(sys.modules)))
"""
    path = [str(Path(__file__).parents[1]), *sys.path]
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}{program}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == "[]"
