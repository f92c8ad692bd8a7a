"""The features of the guide's Feature Extraction, of a segment as it is stored.

Spectral features share one short-time Fourier transform: a centred Hann window of ``window_samples``, every
``hop_samples``. A segment of n samples has 1 + n // hop frames. Channels are averaged first.

    name              shape          type     unit
    mel               (128, frames)  float32  dB of power, 0 dB for 1.0, at most 80 below the loudest; Slaney's scale
    mfcc              (20, frames)   float32  orthonormal DCT-II of the mel bands in dB
    chroma            (12, frames)   float32  relative to the strongest pitch class; C first, A = 440 Hz
    spectralContrast  (7, frames)    float32  dB from valley to peak: below 200 Hz, then by octaves (6 bands at 8 kHz)
    onsetStrength     (frames,)      float32  mean rise of the mel bands since the frame before, dB
    tempo             ()             float32  beats a minute; NaN where nothing pulses
    key               ()             str      such as ``Cmaj``; empty where no pitch stands out
    loudness          ()             float32  LUFS (ITU-R BS.1770-4)
    dynamicRange      ()             float32  LU, loudness range (EBU Tech 3342); NaN below 3 s

Invariant: a feature depends on the samples of its segment alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mtj_trainer.prepare.audio.analysis import Analysis, mean_of_channels
from mtj_trainer.prepare.audio.compiled import keep_compiled
from mtj_trainer.prepare.audio.levels import measure_levels
from mtj_trainer.prepare.audio.loudness import integrated_loudness, loudness_range

MEL_BANDS = 128
MFCC_COEFFICIENTS = 20
_DEPTH_DB = 80.0
_CONTRAST_BANDS = 6
_CONTRAST_LOWEST_HZ = 200.0

Floats = npt.NDArray[np.float32]
Features = dict[str, npt.NDArray[Any]]


def window_samples(sample_rate: int) -> int:
    """2048 (guide: Feature Extraction) up to 48 kHz; above, as many as keep the lowest mel bands apart."""
    return 2048 << max(0, (sample_rate - 1) // 48_000).bit_length()


def hop_samples(sample_rate: int) -> int:
    """A quarter of the window."""
    return window_samples(sample_rate) // 4


def extract_features(samples: Floats, sample_rate: int, names: Sequence[str]) -> Features:
    """The named features of (frames, channels), by name, each an array that ``numpy.savez`` stores without pickling."""
    wanted = set(names)
    found: dict[str, Any] = {}
    if wanted & {"mel", "mfcc", "chroma", "spectralContrast", "onsetStrength"}:
        found |= _spectral(mean_of_channels(samples), sample_rate, wanted)
    if wanted & {"loudness", "dynamicRange"}:
        levels = measure_levels(samples, sample_rate)
        found["loudness"] = np.float32(integrated_loudness(levels.power, levels.steps_per_second))
        found["dynamicRange"] = np.float32(loudness_range(levels.power, levels.steps_per_second))
    if wanted & {"tempo", "key"}:
        analysis = Analysis(samples, sample_rate)
        if "tempo" in wanted:
            found["tempo"] = np.float32(analysis.rhythm.tempo or np.nan)
        if "key" in wanted:
            found["key"] = np.array(analysis.key or "")
    return {name: np.asarray(found[name]) for name in names}


def _spectral(mono: Floats, sample_rate: int, wanted: set[str]) -> dict[str, Floats]:
    keep_compiled()
    import librosa  # seconds to import, and only features and beats need it
    from librosa.onset import onset_strength

    window, hop = window_samples(sample_rate), hop_samples(sample_rate)
    magnitude = np.abs(librosa.stft(mono, n_fft=window, hop_length=hop))
    power = magnitude**2
    found: dict[str, Floats] = {}
    if "mel" in wanted or "mfcc" in wanted:
        found["mel"], found["mfcc"] = _mel_and_mfcc(power, sample_rate)
    if "chroma" in wanted:
        found["chroma"] = librosa.feature.chroma_stft(S=power, sr=sample_rate, n_fft=window, tuning=0.0)
    if "spectralContrast" in wanted:
        octaves = int(np.ceil(np.log2(sample_rate / 2 / _CONTRAST_LOWEST_HZ)))
        found["spectralContrast"] = librosa.feature.spectral_contrast(
            S=magnitude, sr=sample_rate, n_fft=window, fmin=_CONTRAST_LOWEST_HZ, n_bands=min(_CONTRAST_BANDS, octaves)
        )
    if "onsetStrength" in wanted:
        bands = found.get("mel")
        if bands is None:
            bands = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=sample_rate, n_mels=MEL_BANDS))
        found["onsetStrength"] = onset_strength(S=bands, sr=sample_rate, n_fft=window, hop_length=hop)
    return {name: feature.astype(np.float32) for name, feature in found.items()}


def _mel_and_mfcc(power: Floats, sample_rate: int) -> tuple[Floats, Floats]:
    """From (bins, frames) of power, on one thread: the workers already fill the machine."""
    import torch
    from torchaudio import functional, transforms

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            scale = transforms.MelScale(
                n_mels=MEL_BANDS, sample_rate=sample_rate, n_stft=len(power), norm="slaney", mel_scale="slaney"
            )
            mel = transforms.AmplitudeToDB("power", top_db=_DEPTH_DB)(scale(torch.from_numpy(power)))
            mfcc = functional.create_dct(MFCC_COEFFICIENTS, MEL_BANDS, norm="ortho").T @ mel
            return mel.numpy(), mfcc.numpy()
    finally:
        torch.set_num_threads(threads)
