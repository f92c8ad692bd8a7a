"""How likely the model finds a piece: nats of each of its tokens, each counted once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from mtj_trainer.families.symbolic.model import IGNORED, SymbolicModel, token_nll
from mtj_trainer.families.symbolic.sequences import Batch, Piece, collate
from mtj_trainer.families.windows import sliding_windows
from mtj_trainer.tokens import Conditions, Tokenizer


def sequence_nll(
    model: SymbolicModel,
    tokenizer: Tokenizer,
    tokens: npt.NDArray[np.integer],
    conditions: Conditions,
) -> npt.NDArray[np.float64]:
    """(T,) nats of each token of a piece; the prefix and the end do not count.

    Windows as long as the model's context slide by half of it.
    """
    piece = Piece(tokenizer, tokens, conditions)
    device = next(model.parameters()).device
    window = model.config.context - piece.prefix_length
    result = np.zeros(piece.positions)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for first, counted_from in sliding_windows(piece.positions, window):
            batch = collate([piece.row(first, model.config.context)], tokenizer.pad).to(device)
            nll = token_nll(model(batch.tokens, batch.features), batch.targets)[0, piece.prefix_length :]
            result[counted_from : first + window] = nll[counted_from - first :].double().cpu().numpy()
    model.train(was_training)
    return result[:-1]


def evaluation_batches(pieces: Sequence[Piece], context: int, pad: int, size: int) -> Iterator[Batch]:
    """Batches in which each position of each piece counts once, with rows of like length together."""
    rows = []
    for piece in pieces:
        for first, counted_from in sliding_windows(piece.positions, context - piece.prefix_length):
            row = piece.row(first, context)
            row.targets[: piece.prefix_length + counted_from - first] = IGNORED
            rows.append(row)
    rows.sort(key=lambda row: len(row.tokens))
    for start in range(0, len(rows), size):
        yield collate(rows[start : start + size], pad)
