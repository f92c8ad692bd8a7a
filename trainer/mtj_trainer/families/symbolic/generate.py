"""Composing: drawing one token after the other, for several requests at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mtj_trainer.families.symbolic.model import KeyValueCache, SymbolicModel
from mtj_trainer.tokens import Conditions, Tokenizer

MAX_TOKENS_PER_BAR = 512
"""A bound on a bar's tokens, so that a model that never ends its bars still comes to an end."""


@torch.inference_mode()
def generate(
    model: SymbolicModel,
    tokenizer: Tokenizer,
    requests: Sequence[Conditions],
    bars: int,
    *,
    prompts: Sequence[npt.NDArray[np.integer]] | None = None,
    temperature: float = 0.95,
    top_p: float = 0.95,
    seed: int = 0,
) -> list[npt.NDArray[np.uint16]]:
    """Compose a piece of ``bars`` bars for each request; with ``prompts``, continue those, which count as bars.

    Each piece is drawn with a generator of its own, so that it does not depend on its neighbours. A piece may not
    end before its bars are complete. Music longer than the model's context is written with the last half context
    in view.

    Returns:
        (T,) tokens a request, prompt included, without begin and end.
    """
    if not requests:
        return []
    was_training = model.training
    model.eval()
    pieces = [
        _Writer(model, tokenizer, request, bars, None if prompts is None else prompts[i], seed + i)
        for i, request in enumerate(requests)
    ]
    for piece in pieces:
        while not piece.is_complete:
            piece.draw(temperature, top_p)
    model.train(was_training)
    return [tokenizer.first_bars(piece.tokens, piece.request, bars) for piece in pieces]


class _Writer:
    """One piece while it is being written."""

    def __init__(
        self,
        model: SymbolicModel,
        tokenizer: Tokenizer,
        request: Conditions,
        bars: int,
        prompt: npt.NDArray[np.integer] | None,
        seed: int,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self.request = request
        self._bars = bars
        self._device = next(model.parameters()).device
        self._generator = torch.Generator().manual_seed(seed)
        self._prefix = tokenizer.prefix(request)
        self._music: list[int] = [] if prompt is None else [int(token) for token in prompt]
        self._limit = len(self._music) + bars * MAX_TOKENS_PER_BAR
        self._forbidden = torch.from_numpy(~tokenizer.sampleable)
        self._cache = KeyValueCache()
        self._logits = self._read_from_start()

    @property
    def tokens(self) -> npt.NDArray[np.uint16]:
        return np.array(self._music, dtype=np.uint16)

    @property
    def is_complete(self) -> bool:
        if len(self._music) >= self._limit:
            return True
        return self._tokenizer.bars(self.tokens, self.request) >= self._bars

    def draw(self, temperature: float, top_p: float) -> None:
        """Append a token."""
        token = _sample(self._logits.masked_fill(self._forbidden, -torch.inf), temperature, top_p, self._generator)
        self._music.append(token)
        if self._cache.length >= self._model.config.context:
            self._logits = self._read_from_start()
        else:
            self._logits = self._read([token], self._features(len(self._music) - 1))

    def _read_from_start(self) -> Tensor:
        """Read the prefix and as much of the last music as half a context holds, afresh."""
        room = self._model.config.context - len(self._prefix) - 1
        stream = [self._tokenizer.begin, *self._music]
        first = 0 if len(stream) <= room else len(stream) - room // 2
        known = self._features(-1)
        features = np.concatenate([np.tile(known[:1], (len(self._prefix), 1)), known[first:]])
        self._cache = KeyValueCache()
        return self._read([*self._prefix, *stream[first:]], features)

    def _features(self, after: int) -> npt.NDArray[np.int64]:
        """Features for the predictions after each position of the stream from ``after`` (-1 is begin) on."""
        return self._tokenizer.features(self.tokens, self.request)[after + 1 :]

    def _read(self, tokens: list[int], features: npt.NDArray[np.int64]) -> Tensor:
        """(V,) logits of what follows ``tokens``."""
        batch = torch.tensor([tokens], device=self._device)
        known = torch.from_numpy(features[-len(tokens) :][None].copy()).to(self._device)
        logits: Tensor = self._model(batch, known, self._cache)
        return logits[0, -1].float().cpu()


def _sample(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> int:
    """Nucleus sampling (Holtzman et al. 2019, arXiv 1904.09751)."""
    probabilities = torch.softmax(logits / temperature, dim=-1)
    ordered, order = probabilities.sort(descending=True)
    ordered[ordered.cumsum(0) - ordered >= top_p] = 0.0
    return int(order[torch.multinomial(ordered, 1, generator=generator)])
