"""Residual vector quantization in training: the codebooks follow the encoder, and no entry stays unused.

Each entry is the moving average of the latents that were given its code (van den Oord et al. 2017, arXiv 1711.00937,
appendix A), which needs no learning rate and keeps pace with the encoder. An entry that hardly any latent is near to
is put where one is (Dhariwal et al. 2020, Jukebox, arXiv 2005.00341). At the beginning that is so of all entries.
The processes of a run count together, so that their codebooks stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers.models.dac.modeling_dac import DacResidualVectorQuantizer, DacVectorQuantize

DECAY = 0.97
"""Of the averages, a step."""

LEAST_SHARE = 0.2
"""An entry that is used less than this part of an even share is put elsewhere."""


@dataclass(frozen=True)
class Quantized:
    """What quantization makes of latents.

    Attributes:
        hidden: (B, D, T) for the decoder; its gradient goes to the encoder as if nothing had been quantized.
        codes: (B, K, T).
        commitment: mean squared distance of latents from their entries, summed over codebooks; a scalar.
    """

    hidden: Tensor
    codes: Tensor
    commitment: Tensor


class TrainingQuantizer(nn.Module):
    """Quantizes with a DAC's quantizer, whose codebooks it keeps up while in training.

    The codebooks become buffers of the DAC, under the names that they had: no optimizer moves them.

    Args:
        quantizer: of the ``DacModel``.
        fresh: its codebooks are random, and are placed anew.
    """

    usage: Tensor
    """(K, S): how many latents a step got each code, a moving average."""
    sums: Tensor
    """(K, S, D): the sum of these latents, likewise."""

    def __init__(self, quantizer: DacResidualVectorQuantizer, *, fresh: bool = True) -> None:
        super().__init__()
        codebooks = torch.stack([one.codebook.weight.detach() for one in quantizer.quantizers])
        self.register_buffer("usage", torch.full(codebooks.shape[:2], 0.0 if fresh else 1.0))
        self.register_buffer("sums", torch.zeros_like(codebooks) if fresh else codebooks.clone())
        for one in quantizer.quantizers:
            _as_buffer(one.codebook)

    def forward(self, quantizer: DacResidualVectorQuantizer, hidden: Tensor) -> Quantized:
        """(B, D, T) of the encoder to its quantized form. ``quantizer`` is the one that it was made for."""
        whole, residual = torch.zeros_like(hidden), hidden
        codes, commitments = [], []
        for index, one in enumerate(quantizer.quantizers):
            latents = one.in_proj(residual).float()
            if self.training:
                self._revive(index, one, latents)
            entries, code = one.decode_latents(latents)
            if self.training:
                self._follow(index, one, latents, code)
            commitments.append(F.mse_loss(latents, entries))
            part = one.out_proj(latents + (entries - latents).detach())
            whole, residual = whole + part, residual - part
            codes.append(code)
        return Quantized(whole, torch.stack(codes, dim=1), torch.stack(commitments).sum())

    def use(self) -> Tensor:
        """How evenly entries are used, from 1 / S to 1: the perplexity of the codes as a part of the entries."""
        share = self.usage / self.usage.sum(dim=1, keepdim=True).clamp(min=1e-12)
        entropy = -torch.special.xlogy(share, share).sum(dim=1)
        return entropy.exp().mean() / self.usage.shape[1]

    @torch.no_grad()
    def _revive(self, index: int, one: DacVectorQuantize, latents: Tensor) -> None:
        """Put entries that are hardly used on random latents, and count them as used evenly until it shows."""
        usage, sums = self.usage[index], self.sums[index]
        candidates = latents.transpose(1, 2).flatten(0, 1)
        drawn = torch.randint(len(candidates), (len(usage),), device=usage.device)
        entries = candidates[drawn]
        if dist.is_initialized():
            dist.broadcast(entries, src=0)
        even = usage.mean()
        dead = (usage <= LEAST_SHARE * even)[:, None]
        counted = torch.where(even > 0, even, torch.ones_like(even))
        one.codebook.weight.copy_(torch.where(dead, entries, one.codebook.weight))
        sums.copy_(torch.where(dead, entries * counted, sums))
        usage.copy_(torch.where(dead[:, 0], counted, usage))

    @torch.no_grad()
    def _follow(self, index: int, one: DacVectorQuantize, latents: Tensor, code: Tensor) -> None:
        """Move each entry to the average of its latents."""
        chosen = F.one_hot(code.flatten(), len(self.usage[index])).to(latents.dtype)
        flat = latents.transpose(1, 2).flatten(0, 1)
        counts = torch.cat([chosen.T @ flat, chosen.sum(dim=0)[:, None]], dim=1)
        if dist.is_initialized():
            dist.all_reduce(counts)
        self.usage[index].lerp_(counts[:, -1], 1.0 - DECAY)
        self.sums[index].lerp_(counts[:, :-1], 1.0 - DECAY)
        one.codebook.weight.copy_(self.sums[index] / self.usage[index].clamp(min=1e-12)[:, None])


def _as_buffer(codebook: nn.Embedding) -> None:
    weight = codebook.weight.detach()
    del codebook.weight
    codebook.register_buffer("weight", weight)
