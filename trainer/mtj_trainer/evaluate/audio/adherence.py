"""Whether the text matters: do samples of one text lie nearer to each other than to samples of other texts?

Invariant: texts that change nothing have a separation of about 1, whatever the embedder and its units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mtj_trainer.evaluate.audio.embedders import Embedded

Floats = npt.NDArray[np.float64]

PERMUTATIONS = 999


def text_effect(
    embeddings: Embedded, texts: Sequence[str], *, permutations: int = PERMUTATIONS, seed: int = 0
) -> dict[str, float]:
    """How much a sample depends on its text.

    Args:
        embeddings: each sample's (frames, D).
        texts: each sample's text; samples of one text differ by their seed alone.

    Returns:
        ``text.separation``: mean distance between samples of different texts over that between samples of the same
        text; 1 where the text changes nothing. ``text.p``: probability of at least such a separation if it changed
        nothing, by permuting the texts (Anderson, A new method for non-parametric multivariate analysis of variance,
        2001). Neither where no text has two samples, or all have the same.

    Raises:
        ValueError: not one text a sample.
    """
    if len(embeddings) != len(texts):
        raise ValueError(f"{len(embeddings)} samples with {len(texts)} texts")
    _, labels = np.unique(np.asarray(texts), return_inverse=True)
    distances = _distances(_means(embeddings))
    found = _separation(distances, labels)
    if not np.isfinite(found):
        return {}
    generator = np.random.default_rng(seed)
    shuffled = [_separation(distances, generator.permutation(labels)) for _ in range(permutations)]
    at_least = 1 + int(np.sum(np.array(shuffled) >= found * (1 - 1e-12)))
    return {"text.separation": found, "text.p": at_least / (permutations + 1)}


def own_reference_nearest(embeddings: Embedded, references: Embedded) -> float:
    """How often a sample is nearer to its own text's music than to another text's, in 0 to 1; 0.5 is by chance.

    Args:
        embeddings: (frames, D) of each sample.
        references: the same of the music that the text of that sample describes.

    Raises:
        ValueError: not one reference a sample, or fewer than two.
    """
    if len(embeddings) != len(references) or len(embeddings) < 2:
        raise ValueError(f"{len(embeddings)} samples cannot be told apart by {len(references)} references")
    samples, music = _means(embeddings), _means(references)
    scale = _scale(np.concatenate([samples, music]))
    apart = np.linalg.norm((samples[:, None] - music[None, :]) / scale, axis=2)
    own = np.diag(apart)[:, None]
    nearer = (own < apart) + 0.5 * (own == apart)
    others = ~np.eye(len(apart), dtype=bool)
    return float(nearer[others].mean())


def clap_score(audio: Embedded, texts: npt.ArrayLike) -> dict[str, float]:
    """How well samples fit their texts in CLAP's space.

    Args:
        audio: each sample's (frames, D), as ``ClapEmbedder.embed`` returns them.
        texts: (n, D), as ``embed_texts`` does.

    Returns:
        ``clap.score``: mean cosine, -1 to 1, of a sample and its text. ``clap.score.others``: of a sample and the texts
        of the other samples, which is what the score would be by chance.
    """
    samples, wanted = _unit(_means(audio)), _unit(np.asarray(texts, np.float64))
    cosines = samples @ wanted.T
    figures = {"clap.score": float(np.diag(cosines).mean())}
    others = ~np.eye(len(cosines), dtype=bool)
    if others.any():
        figures["clap.score.others"] = float(cosines[others].mean())
    return figures


def _means(embeddings: Embedded) -> Floats:
    return np.stack([np.atleast_2d(np.asarray(each, np.float64)).mean(axis=0) for each in embeddings])


def _scale(rows: Floats) -> Floats:
    """(D,) each dimension's standard deviation, so that all count alike."""
    deviation = rows.std(axis=0)
    return np.where(deviation > 0, deviation, 1.0)


def _distances(rows: Floats) -> Floats:
    scaled = rows / _scale(rows)
    return np.asarray(np.linalg.norm(scaled[:, None] - scaled[None, :], axis=2))


def _separation(distances: Floats, labels: npt.NDArray[np.int64]) -> float:
    same = labels[:, None] == labels[None, :]
    pairs = np.triu(np.ones_like(same), k=1)
    within, between = distances[same & pairs], distances[~same & pairs]
    if not len(within) or not len(between) or not between.any():
        return float("nan")
    return float(between.mean() / max(within.mean(), 1e-9 * between.mean()))


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
