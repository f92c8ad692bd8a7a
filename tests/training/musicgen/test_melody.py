"""Chroma: transformers' own, and the pitch that sounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtj_trainer.families.musicgen.melody import ChromaSettings, chroma, passage


@pytest.mark.parametrize("samples", [64_000, 70_001, 9_000])
def test_chroma_is_that_of_transformers(samples: int) -> None:
    from transformers import MusicgenMelodyFeatureExtractor

    audio = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    theirs = MusicgenMelodyFeatureExtractor()(audio[None], sampling_rate=32_000, return_tensors="pt").input_features
    assert torch.equal(chroma(audio, ChromaSettings.at(32_000)), theirs[0])


@pytest.mark.parametrize("rate", [16_000, 32_000, 44_100])
def test_the_pitch_class_that_sounds_is_heard(rate: int) -> None:
    for pitch in range(12):
        tone = torch.sin(2 * np.pi * 440 * 2 ** ((pitch - 9) / 12) * torch.arange(2 * rate) / rate)
        heard = chroma(tone, ChromaSettings.at(rate))
        assert heard.shape == (1 + 2 * rate // ChromaSettings.at(rate).hop, 12)
        assert (heard.argmax(dim=1) == pitch).all()


def test_a_passage_begins_where_the_music_does_and_repeats_what_is_too_short() -> None:
    melody = torch.eye(12)[:5]
    assert passage(melody, 2, 2).argmax(dim=1).tolist() == [2, 3]
    assert passage(melody, 3, 5).argmax(dim=1).tolist() == [3, 4, 3, 4, 3]
    assert passage(melody, 9, 3).argmax(dim=1).tolist() == [0, 1, 2]
