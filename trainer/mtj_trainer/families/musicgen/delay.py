"""The delay pattern: codebook k is written k steps late, so that one step predicts a code of each codebook.

Copet et al. 2023 (arXiv 2306.05284), section 2.2. T frames of K codebooks become T + D columns, where D is K (K / 2
for stereo, whose codebooks are left and right in turn): a first column of nothing but ``pad``, then frame t of codebook
k in column 1 + t + k. Each frame of each codebook is predicted once, from everything in the columns before its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

IGNORED = -100
"""A label that does not count in the loss, and a code that is not known."""


def delay(codes: Tensor, channels: int = 1) -> Tensor:
    """(B, K, T) codes to (B, K, T + D) columns, with ``IGNORED`` where the pattern has no code.

    Args:
        codes: may hold ``IGNORED`` for what is not known.
        channels: 2 where codebooks are left and right in turn.
    """
    batch, codebooks, frames = codes.shape
    columns = codes.new_full((batch, codebooks, frames + codebooks // channels), IGNORED)
    for codebook in range(codebooks):
        first = 1 + codebook // channels
        columns[:, codebook, first : first + frames] = codes[:, codebook]
    return columns


def undelay(columns: Tensor, channels: int = 1) -> Tensor:
    """The inverse of ``delay``: (B, K, T + D) columns to (B, K, T) codes."""
    codebooks = columns.shape[1]
    frames = columns.shape[2] - codebooks // channels
    rows = [columns[:, k, 1 + k // channels : 1 + k // channels + frames] for k in range(codebooks)]
    return torch.stack(rows, dim=1)


def pattern(codebooks: int, frames: int, channels: int = 1) -> Tensor:
    """(K, T + D) where the pattern has a code."""
    return delay(torch.zeros(1, codebooks, frames, dtype=torch.long), channels)[0] != IGNORED


def inputs_and_labels(codes: Tensor, pad: int, channels: int = 1) -> tuple[Tensor, Tensor]:
    """(B, K, T) codes to what a decoder reads and what it should say: twice (B, K, T + D - 1).

    Args:
        codes: may hold ``IGNORED`` for frames that are not there; they are read as ``pad`` and not predicted.
        pad: the code that says "nothing here": one more than the codebook's last.
    """
    columns = delay(codes, channels)
    inputs = columns[..., :-1]
    return inputs.masked_fill(inputs == IGNORED, pad), columns[..., 1:].contiguous()
