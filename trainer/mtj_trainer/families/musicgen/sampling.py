"""Drawing codes from logits, for many samples at a time and each by its own numbers.

A sample's numbers are drawn before its music, and each turns a distribution into a code by its inverse: what a sample
becomes depends on its seed and its logits, and not on how many others are drawn beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How codes are drawn.

    Attributes:
        temperature: divides the logits; 0 takes the likeliest code.
        top_k: only so many of the likeliest codes; 0 for all.
        top_p: only the likeliest codes that together are at least as likely as this.
        guidance: how far to go from what the model says without a condition towards what it says with it, and beyond
            (Ho and Salimans 2022, arXiv 2207.12598); 1 asks the conditional model alone.
    """

    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 1.0
    guidance: float = 3.0


def numbers(seeds: Sequence[int], draws: int, codebooks: int) -> Tensor:
    """(B, draws, K) float64 in [0, 1): a row follows from its seed alone, and begins alike however many are drawn."""
    rows = [np.random.default_rng(seed).random((draws, codebooks)) for seed in seeds]
    return torch.from_numpy(np.stack(rows))


def draw(logits: Tensor, chances: Tensor, sampling: Sampling) -> Tensor:
    """(B, K, V) logits and (B, K) numbers in [0, 1) to (B, K) codes.

    Top-k, then nucleus sampling (Holtzman et al. 2019, arXiv 1904.09751) of what is left.
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    ordered, order = (logits.float() / sampling.temperature).sort(dim=-1, descending=True, stable=True)
    if sampling.top_k:
        ordered[..., sampling.top_k :] = -torch.inf
    probabilities = torch.softmax(ordered.double(), dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    probabilities[before >= sampling.top_p] = 0.0
    reached = probabilities.cumsum(dim=-1)
    targets = chances.to(reached) * reached[..., -1]
    chosen = torch.searchsorted(reached, targets[..., None], right=True)
    last = (probabilities > 0).sum(dim=-1, keepdim=True) - 1  # rounding may carry a target past the last of them
    return order.gather(-1, torch.minimum(chosen, last)).squeeze(-1)
