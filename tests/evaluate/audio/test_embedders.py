"""Embedders: what the spectrogram's statistics tell apart, and that saved weights are the ones that are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mtj_api import JobError
from mtj_trainer.evaluate.audio.embedders import SpectrogramEmbedder, TextEmbedder, make_embedder
from support.tunes import low_pass, noisy, tune

RATE = 16_000


@pytest.mark.parametrize(("seconds", "frames"), [(0.01, 1), (1.0, 1), (1.6, 2), (10.0, 19)])
def test_a_spectrogram_has_a_point_every_half_second_and_one_at_least(seconds: float, frames: int) -> None:
    embedder = SpectrogramEmbedder()
    found = embedder.embed(tune(0, seconds))
    assert found.shape == (frames, embedder.dimensions)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, embedder.embed(tune(0, seconds)))


def test_silence_is_the_floor_and_nothing_moves() -> None:
    (found,) = SpectrogramEmbedder().embed(np.zeros(RATE, np.float32))
    np.testing.assert_array_equal(found, [-80.0] * 16 + [0.0] * 32)


def test_gain_moves_the_levels_alone() -> None:
    music = noisy(tune(0, 2), -30)
    loud, soft = (SpectrogramEmbedder().embed(gain * music).mean(axis=0) for gain in (1.0, 0.5))
    np.testing.assert_allclose((loud - soft)[:16], 20 * np.log10(2), atol=1e-3)
    np.testing.assert_allclose((loud - soft)[16:], 0, atol=1e-3)


def test_what_is_done_to_music_is_farther_than_other_music() -> None:
    embed = SpectrogramEmbedder().embed
    here, there, dull, rough = (
        np.concatenate([embed(change(tune(seed, 4))) for seed in seeds]).mean(axis=0)
        for change, seeds in (
            (lambda x: x, range(8)),
            (lambda x: x, range(8, 16)),
            (lambda x: low_pass(x, 2_000), range(8)),
            (lambda x: noisy(x, -20), range(8)),
        )
    )
    other = np.linalg.norm(here - there)
    assert np.linalg.norm(here - dull) > 2 * other
    assert np.linalg.norm(here - rough) > 2 * other


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLAP of 22,000 parameters that hears one second."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("clap")
    text = {"vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    audio = {"spec_size": 32, "num_mel_bins": 16, "window_size": 4, "hidden_size": 32, "patch_embeds_hidden_size": 16}
    config = ClapConfig(
        text_config=text | {"intermediate_size": 16, "projection_dim": 8, "max_position_embeddings": 40},
        audio_config=audio | {"depths": [1, 1], "num_attention_heads": [2, 2], "projection_dim": 8, "aff_block_r": 1},
        projection_dim=8,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ClapModel(config).save_pretrained(folder)
    extractor = ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=RATE,
        max_length_s=1,
        hop_length=400,
        fft_window_size=512,
        frequency_max=8_000,
        truncation="rand_trunc",
    )
    extractor.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"<pad>": 1, "<unk>": 3, "calm": 4, "fast": 5}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    return folder


def test_clap_has_a_point_a_window_and_texts_in_the_same_space(clap: Path) -> None:
    embedder = make_embedder("clap", str(clap))
    assert (embedder.name, embedder.rate) == ("clap", RATE)
    assert isinstance(embedder, TextEmbedder)
    found = {seconds: embedder.embed(tune(0, seconds)) for seconds in (0.3, 1.0, 2.4, 2.6)}
    assert {seconds: len(points) for seconds, points in found.items()} == {0.3: 1, 1.0: 1, 2.4: 2, 2.6: 3}
    texts = embedder.embed_texts(["calm", "calm fast"])
    assert texts.shape == (2, 8)
    for points in (*found.values(), texts):
        np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found[2.6], embedder.embed(tune(0, 2.6)))
    np.testing.assert_allclose(texts[:1], embedder.embed_texts(["calm"]), atol=1e-5)


def test_encodec_has_a_point_a_frame(tmp_path: Path) -> None:
    from transformers import EncodecConfig, EncodecModel

    shape = {"hidden_size": 8, "codebook_dim": 8, "codebook_size": 16, "num_filters": 4, "upsampling_ratios": [4, 2]}
    EncodecModel(EncodecConfig(sampling_rate=RATE, num_lstm_layers=1, **shape)).save_pretrained(tmp_path)
    embedder = make_embedder("encodec", str(tmp_path))
    assert (embedder.name, embedder.rate) == ("encodec", RATE)
    assert embedder.embed(tune(0, 0.5)).shape == (RATE // 2 // 8, 8)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("clap", "weights of clap are not at hand.*spectrogram needs no weights"),
        ("encodec", "weights of encodec are not at hand"),
        ("vggish", "no embedder vggish; write one of spectrogram, clap, encodec"),
    ],
)
def test_what_is_not_there_is_told(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=f"spec.evaluation.embedders: .*{reason}"):
        make_embedder(name, str(tmp_path))
