"""From a piece to the rows that the model reads: conditions, then a window of the piece, and what follows each.

A row is ``[prefix][BEGIN t0 t1 ...]``; its targets are the next tokens, and those of the prefix do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mtj_trainer.families.symbolic.model import IGNORED
from mtj_trainer.tokens import Conditions, Tokenizer


@dataclass(frozen=True)
class Row:
    """One sequence for the model: (T,) tokens, (T, F) features and (T,) targets, all int64."""

    tokens: npt.NDArray[np.int64]
    features: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Rows of equal length, padded: (B, T), (B, T, F) and (B, T), and how many targets count."""

    tokens: Tensor
    features: Tensor
    targets: Tensor
    counted: int

    def to(self, device: torch.device) -> Batch:
        if device.type == "cpu":
            return self
        return replace(
            self,
            tokens=self.tokens.to(device, non_blocking=True),
            features=self.features.to(device, non_blocking=True),
            targets=self.targets.to(device, non_blocking=True),
        )


class Piece:
    """A whole piece ready to be cut into rows.

    Args:
        tokenizer: of the tokens.
        tokens: (T,) the music, without begin and end.
        conditions: what the prefix says; ``None`` in it is said to be unknown.
        metre: what bars are counted by, where the conditions do not say it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        tokens: npt.NDArray[np.integer],
        conditions: Conditions,
        metre: str | None = None,
    ) -> None:
        self._prefix = np.array(tokenizer.prefix(conditions), dtype=np.int64)
        self._stream = np.concatenate([[tokenizer.begin], tokens, [tokenizer.end]]).astype(np.int64)
        known = tokenizer.features(tokens, conditions, metre)
        self._features = np.concatenate([known, known[-1:]])  # one row a token of the stream: what follows it
        self.positions = len(self._stream) - 1
        """How many tokens can be predicted: the music and the end."""

    def row(self, first: int, context: int) -> Row:
        """The window that predicts the tokens from ``first`` on, at most ``context`` long with its prefix."""
        length = min(context - len(self._prefix), self.positions - first)
        window = slice(first, first + length)
        prefix_features = np.tile(self._features[:1], (len(self._prefix), 1))
        ignored = np.full(len(self._prefix), IGNORED, dtype=np.int64)
        return Row(
            np.concatenate([self._prefix, self._stream[window]]),
            np.concatenate([prefix_features, self._features[window]]),
            np.concatenate([ignored, self._stream[first + 1 : first + 1 + length]]),
        )

    @property
    def prefix_length(self) -> int:
        return len(self._prefix)


def collate(rows: Sequence[Row], pad: int) -> Batch:
    """Rows to a batch as long as the longest of them."""
    longest = max(len(row.tokens) for row in rows)
    tokens = np.full((len(rows), longest), pad, dtype=np.int64)
    features = np.zeros((len(rows), longest, rows[0].features.shape[1]), dtype=np.int64)
    targets = np.full((len(rows), longest), IGNORED, dtype=np.int64)
    for index, row in enumerate(rows):
        tokens[index, : len(row.tokens)] = row.tokens
        features[index, : len(row.tokens)] = row.features
        targets[index, : len(row.tokens)] = row.targets
    counted = int((targets != IGNORED).sum())
    return Batch(torch.from_numpy(tokens), torch.from_numpy(features), torch.from_numpy(targets), counted)
