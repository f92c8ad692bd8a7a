"""Whether the text matters: 1 where it does not, more where it does, and by how much chance would have it."""

from __future__ import annotations

import numpy as np
import pytest

from mtj_trainer.evaluate.audio.adherence import clap_score, own_reference_nearest, text_effect

TEXTS = [f"text {number}" for number in range(6) for _ in range(3)]


def samples(generator: np.random.Generator, effect: float) -> np.ndarray:
    """(18, 4 frames, 5): three samples of each of six texts, ``effect`` standard deviations apart."""
    centres = np.repeat(generator.standard_normal((6, 1, 5)), 3, axis=0)
    return effect * centres + generator.standard_normal((18, 1, 5)) + 0.1 * generator.standard_normal((18, 4, 5))


def test_a_text_that_matters() -> None:
    found = text_effect(samples(np.random.default_rng(0), 3.0), TEXTS)
    assert found["text.separation"] > 1.5
    assert found["text.p"] <= 0.002


def test_a_text_that_does_not() -> None:
    generator = np.random.default_rng(1)
    found = [text_effect(samples(generator, 0.0), TEXTS, permutations=99) for _ in range(40)]
    assert np.mean([each["text.separation"] for each in found]) == pytest.approx(1, abs=0.03)
    assert np.mean([each["text.p"] <= 0.1 for each in found]) < 0.25
    assert np.mean([each["text.p"] for each in found]) == pytest.approx(0.5, abs=0.15)


def test_units_and_order_do_not_matter() -> None:
    music = samples(np.random.default_rng(2), 1.0)
    found = text_effect(music, TEXTS)["text.separation"]
    assert text_effect(music * np.array([1, 10, 100, 1000, 1e4]) + 7, TEXTS)["text.separation"] == pytest.approx(found)
    order = np.random.default_rng(3).permutation(18)
    assert text_effect(music[order], [TEXTS[i] for i in order])["text.separation"] == pytest.approx(found)


def test_without_two_samples_of_a_text_or_two_texts_there_is_nothing_to_say() -> None:
    music = samples(np.random.default_rng(4), 1.0)
    assert text_effect(music, [str(number) for number in range(18)]) == {}
    assert text_effect(music, ["one"] * 18) == {}
    assert text_effect(np.ones((18, 1, 5)), TEXTS) == {}
    with pytest.raises(ValueError, match="18 samples with 2 texts"):
        text_effect(music, ["a", "b"])


def test_samples_are_nearest_to_the_music_that_their_text_describes() -> None:
    generator = np.random.default_rng(5)
    music = generator.standard_normal((10, 3, 8))
    assert own_reference_nearest(music + 0.1 * generator.standard_normal((10, 3, 8)), music) == 1
    chance = [own_reference_nearest(generator.standard_normal((10, 3, 8)), music) for _ in range(30)]
    assert np.mean(chance) == pytest.approx(0.5, abs=0.06)
    assert own_reference_nearest(np.ones((4, 1, 2)), np.ones((4, 1, 2))) == 0.5, "samples that are all one tell nothing"
    with pytest.raises(ValueError, match="cannot be told apart"):
        own_reference_nearest(music[:1], music[:1])


def test_clap_scores_are_cosines_beside_those_of_other_texts() -> None:
    texts = np.eye(3)
    found = clap_score([2 * np.eye(3)[[index, index]] for index in range(3)], texts)
    assert found == pytest.approx({"clap.score": 1.0, "clap.score.others": 0.0})
    assert clap_score([np.array([[3.0, 4.0]])], np.array([[1.0, 0.0]])) == pytest.approx({"clap.score": 0.6})
