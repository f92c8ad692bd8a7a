"""Losses that pull at the decoded audio as strongly as their weights say, whatever their scales are.

The balancer of EnCodec (Défossez et al. 2022, arXiv 2210.13438, section 3.4): each loss's gradient by the audio is
divided by a moving average of its norm. So a weight is a share of the gradient, and no loss has to be scaled by hand.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn

DECAY = 0.999
"""Of the moving average, as in EnCodec."""


class GradientBalancer(nn.Module):
    """Weighs losses of decoded audio.

    Its averages are buffers: a resumed run goes on with them, and the processes of a run agree on them.

    Args:
        weights: of the losses by name, each more than 0.
    """

    norms: Tensor
    """(losses,) sums of norms that fade; over ``certainty`` they are the averages."""
    certainty: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = dict(weights)
        self.register_buffer("norms", torch.zeros(len(weights)))
        self.register_buffer("certainty", torch.zeros(()))

    def forward(self, losses: Mapping[str, Tensor], audio: Tensor) -> Tensor:
        """The balanced gradient by the audio: on average, of norm 1 for an example, divided by the batch.

        Args:
            losses: scalars that follow from ``audio``, by the names of the weights.
            audio: (B, N), which requires a gradient.

        Returns:
            (B, N), without a graph.
        """
        gradients = [torch.autograd.grad(losses[name], audio, retain_graph=True)[0] for name in self.weights]
        norms = torch.stack([gradient.flatten(1).norm(dim=1).mean() for gradient in gradients]).detach()
        if dist.is_initialized():
            dist.all_reduce(norms)
            norms /= dist.get_world_size()
        if self.training:
            self.norms.lerp_(norms, 1.0 - DECAY)
            self.certainty.lerp_(torch.ones_like(self.certainty), 1.0 - DECAY)
        average = self.norms / self.certainty
        whole = sum(self.weights.values())
        balanced = torch.zeros_like(audio)
        for weight, gradient, norm in zip(self.weights.values(), gradients, average, strict=True):
            balanced += gradient * (weight / whole / norm.clamp(min=1e-12))
        return balanced / len(audio)


def with_gradient(value: Tensor, audio: Tensor, gradient: Tensor) -> Tensor:
    """A scalar of this value whose gradient by the audio is ``gradient``."""
    pull = (audio * gradient).sum()
    return value.detach() + pull - pull.detach()
