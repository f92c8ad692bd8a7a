"""Features have the shapes and units that they promise, and say what is known of a signal."""

from __future__ import annotations

import io

import librosa
import numpy as np
import pyloudnorm
import pytest
import torch

from mtj_trainer.music.key import KEYS
from mtj_trainer.prepare.audio.features import extract_features, hop_samples, window_samples
from mtj_trainer.prepare.audio.tonality import find_key, pitch_class_profile
from support import sounds

ALL = ["mel", "mfcc", "chroma", "spectralContrast", "onsetStrength", "tempo", "key", "loudness", "dynamicRange"]


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_shapes_and_types(rate: int) -> None:
    samples = sounds.noise(4.0, rate=rate)
    found = extract_features(samples, rate, ALL)
    frames = 1 + len(samples) // hop_samples(rate)
    assert {name: feature.shape for name, feature in found.items()} == {
        "mel": (128, frames),
        "mfcc": (20, frames),
        "chroma": (12, frames),
        "spectralContrast": (6 if rate == 8_000 else 7, frames),
        "onsetStrength": (frames,),
        "tempo": (),
        "key": (),
        "loudness": (),
        "dynamicRange": (),
    }
    assert {feature.dtype.kind for name, feature in found.items() if name != "key"} == {"f"}
    assert all(feature.dtype == np.float32 for name, feature in found.items() if name != "key")
    assert all(np.isfinite(found[name]).all() for name in ALL[:5])


@pytest.mark.parametrize(
    ("rate", "window"), [(8_000, 2048), (44_100, 2048), (48_000, 2048), (88_200, 4096), (192_000, 8192)]
)
def test_the_window_is_the_guides_and_grows_with_the_rate(rate: int, window: int) -> None:
    assert window_samples(rate) == window


@pytest.mark.parametrize("name", ALL)
def test_each_feature_is_the_same_alone_as_among_all(name: str) -> None:
    samples = sounds.noise(4.0) * 0.3 + sounds.clicks(4.0)
    alone = extract_features(samples, sounds.RATE, [name])
    assert list(alone) == [name]
    expected = extract_features(samples, sounds.RATE, ALL)[name]
    if alone[name].dtype.kind == "U":
        assert alone[name] == expected
    else:
        np.testing.assert_allclose(alone[name], expected, rtol=1e-4, atol=1e-3)


def test_features_are_stored_without_pickling() -> None:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **extract_features(sounds.sine(4.0), sounds.RATE, ALL))
    with np.load(io.BytesIO(out.getvalue()), allow_pickle=False) as stored:
        assert sorted(stored) == sorted(ALL)
        assert str(stored["key"]) in KEYS


def test_mel_bands_are_those_of_librosa() -> None:
    samples = sounds.noise(3.0)
    found = extract_features(samples, sounds.RATE, ["mel"])["mel"]
    expected = librosa.power_to_db(librosa.feature.melspectrogram(y=samples.mean(axis=1), sr=sounds.RATE))
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_mfccs_are_those_of_librosa() -> None:
    samples = sounds.noise(3.0)
    found = extract_features(samples, sounds.RATE, ["mfcc"])["mfcc"]
    np.testing.assert_allclose(found, librosa.feature.mfcc(y=samples.mean(axis=1), sr=sounds.RATE), atol=0.5)


@pytest.mark.parametrize(("hertz", "pitch_class"), [(261.63, 0), (440.0, 9), (1479.98, 6)])
def test_chroma_of_a_tone_is_its_pitch_class(hertz: float, pitch_class: int) -> None:
    chroma = extract_features(sounds.sine(3.0, hertz), sounds.RATE, ["chroma"])["chroma"]
    assert (chroma[:, 5:-5].argmax(axis=0) == pitch_class).all()


def test_onsets_rise_where_sound_begins() -> None:
    samples = np.concatenate([sounds.noise(1.0, 0.001), sounds.noise(1.0, 0.3, seed=1)])
    onsets = extract_features(samples, sounds.RATE, ["onsetStrength"])["onsetStrength"]
    assert onsets.argmax() * hop_samples(sounds.RATE) / sounds.RATE == pytest.approx(1.0, abs=0.03)


def test_tempo_loudness_and_dynamic_range_of_known_signals() -> None:
    quiet, loud = sounds.sine(10.0, 1000, 0.01), sounds.sine(10.0, 1000, 0.1)
    found = extract_features(np.concatenate([quiet, loud]), sounds.RATE, ["loudness", "dynamicRange"])
    expected = pyloudnorm.Meter(sounds.RATE).integrated_loudness(np.concatenate([quiet, loud]).astype(float))
    assert found["loudness"] == pytest.approx(expected, abs=0.1)
    assert found["dynamicRange"] == pytest.approx(20.0, abs=1.0)
    ticking = sounds.clicks(20.0, 132.0) + sounds.noise(20.0, 1e-4)
    assert extract_features(ticking, sounds.RATE, ["tempo"])["tempo"] == pytest.approx(132.0, rel=0.01)


def test_silence_has_no_tempo_and_no_key() -> None:
    found = extract_features(sounds.silence(4.0), sounds.RATE, ["tempo", "key", "loudness", "dynamicRange"])
    assert np.isnan(found["tempo"])
    assert str(found["key"]) == ""
    assert found["loudness"] == -np.inf
    assert np.isnan(found["dynamicRange"])


@pytest.mark.parametrize("semitones", range(12))
def test_a_scale_with_overtones_has_its_key(semitones: int) -> None:
    """A major scale that dwells on its triad; each tone has six overtones, which a plain chroma takes for notes."""
    rate = 11_025
    tones = []
    for step, beats in ((0, 3), (2, 1), (4, 2), (5, 1), (7, 2), (9, 1), (11, 1), (12, 3)):
        hertz = 261.63 * 2 ** ((step + semitones) / 12)
        tones.append(sum(sounds.sine(beats / 4, k * hertz, 0.3 / k, 1, rate)[:, 0] for k in range(1, 7)))
    mono = np.concatenate(tones).astype(np.float32)
    assert find_key(mono, rate) == KEYS[semitones]
    np.testing.assert_allclose(pitch_class_profile(mono * 0.01, rate), pitch_class_profile(mono, rate), rtol=1e-3)


def test_torch_keeps_its_number_of_threads() -> None:
    before = torch.get_num_threads()
    extract_features(sounds.sine(1.0), sounds.RATE, ["mel"])
    assert torch.get_num_threads() == before
