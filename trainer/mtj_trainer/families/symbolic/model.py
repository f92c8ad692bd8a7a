"""The mathematics of the symbolic decoder, and nothing else: no data, no parallelism, no files.

A pre-norm decoder with RMSNorm, rotary positions (Su et al. 2021, arXiv 2104.09864), GELU and no biases.
Dropout acts on embeddings and residual branches only: in the attention it would leave the fused kernel, which
costs a factor of three on CPU.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mtj_trainer.families.symbolic.dropout import Dropout

IGNORED = -100
"""A target that does not count in the loss."""


@dataclass(frozen=True)
class SymbolicConfig:
    """Sizes of a decoder.

    Attributes:
        vocabulary: tokens, those of conditions included.
        feature_sizes: for each feature that comes with a token, how many values it has.
        layers, width, heads: of the transformer; ``width`` is an even multiple of ``heads``.
        context: tokens of a training sequence, conditions included.
        dropout: on embeddings and residual branches.
    """

    vocabulary: int
    feature_sizes: tuple[int, ...]
    layers: int
    width: int
    heads: int
    context: int
    dropout: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SymbolicConfig:
        return cls(**{**values, "feature_sizes": tuple(values["feature_sizes"])})


class KeyValueCache:
    """Keys and values of the positions that generation has been through, a pair a layer."""

    def __init__(self) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []
        self.length = 0

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append (B, H, T, D) to a layer and return all of its positions."""
        if layer == len(self.layers):
            self.layers.append((key, value))
        else:
            past_key, past_value = self.layers[layer]
            self.layers[layer] = (torch.cat([past_key, key], dim=2), torch.cat([past_value, value], dim=2))
        return self.layers[layer]


class SymbolicModel(nn.Module):
    """Next-token logits of token sequences.

    Args:
        config: the sizes.
        checkpoint_activations: recompute each block in the backward pass instead of storing it.
    """

    def __init__(self, config: SymbolicConfig, *, checkpoint_activations: bool = False) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_activations = checkpoint_activations
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.features = nn.ModuleList(nn.Embedding(size, config.width) for size in config.feature_sizes)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(_Block(config, layer) for layer in range(config.layers))
        self.norm = nn.RMSNorm(config.width)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        self._rotations: Tensor | None = None
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
        for block in self.blocks:
            assert isinstance(block, _Block)
            block.shrink_residual_branches(config.layers)

    def forward(self, tokens: Tensor, features: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """(B, T) tokens and (B, T, F) features of the tokens to predict to (B, T, vocabulary) logits.

        With a ``cache`` the positions follow those it holds, and it takes up the new ones.
        """
        hidden = self.embedding(tokens)
        for index, embedding in enumerate(self.features):
            hidden = hidden + embedding(features[..., index])
        hidden = self.dropout(hidden)
        first = cache.length if cache is not None else 0
        rotation = self._rotation(first + tokens.shape[1], tokens.device)[first:]
        for block in self.blocks:
            if self.checkpoint_activations and self.training:
                hidden = checkpoint(block, hidden, rotation, None, use_reentrant=False)
            else:
                hidden = block(hidden, rotation, cache)
        if cache is not None:
            cache.length += tokens.shape[1]
        logits: Tensor = self.head(self.norm(hidden))
        return logits

    def _rotation(self, length: int, device: torch.device) -> Tensor:
        """(T, D / 2) complex rotations, grown by doubling as longer sequences come."""
        if self._rotations is None or len(self._rotations) < length or self._rotations.device != device:
            size = max(self.config.context, 1 << (length - 1).bit_length())
            half = self.config.width // self.config.heads // 2
            frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
            angle = torch.arange(size, dtype=torch.float64)[:, None] * frequency
            self._rotations = torch.polar(torch.ones_like(angle), angle).to(torch.complex64).to(device)
        return self._rotations[:length]


class _Block(nn.Module):
    def __init__(self, config: SymbolicConfig, layer: int) -> None:
        super().__init__()
        width = config.width
        self.layer = layer
        self.heads = config.heads
        self.attention_norm = nn.RMSNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feedforward_norm = nn.RMSNorm(width)
        self.feedforward_in = nn.Linear(width, 4 * width, bias=False)
        self.feedforward_out = nn.Linear(4 * width, width, bias=False)
        self.dropout = Dropout(config.dropout)

    def shrink_residual_branches(self, layers: int) -> None:
        """Keep the residual stream's variance independent of depth at the start (Radford et al. 2019, GPT-2)."""
        for branch in (self.attention_out, self.feedforward_out):
            nn.init.normal_(branch.weight, std=0.02 / math.sqrt(2 * layers))

    def forward(self, hidden: Tensor, rotation: Tensor, cache: KeyValueCache | None) -> Tensor:
        hidden = hidden + self.dropout(self._attend(self.attention_norm(hidden), rotation, cache))
        inner = F.gelu(self.feedforward_in(self.feedforward_norm(hidden)))
        fed: Tensor = self.feedforward_out(inner)
        out: Tensor = hidden + self.dropout(fed)
        return out

    def _attend(self, hidden: Tensor, rotation: Tensor, cache: KeyValueCache | None) -> Tensor:
        batch, length, width = hidden.shape
        split = self.query_key_value(hidden).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        query, key = _rotate(query, rotation), _rotate(key, rotation)
        is_first = cache is None or cache.length == 0
        if cache is not None:
            key, value = cache.extend(self.layer, key, value)
        # After the first pass, generation feeds one position at a time, and that one may see all before it.
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=is_first)
        out: Tensor = self.attention_out(seen.transpose(1, 2).reshape(batch, length, width))
        return out


def _rotate(vectors: Tensor, rotation: Tensor) -> Tensor:
    """Rotary positions on (B, H, T, D): neighbours as complex numbers, turned by the position's angle."""
    pairs = torch.view_as_complex(vectors.float().reshape(*vectors.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2).to(vectors.dtype)


def token_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, T, V) logits and (B, T) targets to (B, T) nats, 0 where the target is ``IGNORED``."""
    flat = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="none")
    return flat.view(targets.shape)
