"""A codec in training: all that a step computes, in one forward pass, so that it can be called through any wrapper.

Its losses act on a copy of the decoded audio that has no graph behind it. From there the balancer takes their
gradients, and hands them on to the codec as one. So a discriminator, which sees that copy, too, gets the gradient of
its own loss alone: codec and discriminator learn in one backward pass, by one optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mtj_trainer.families.codec.balance import GradientBalancer, with_gradient
from mtj_trainer.families.codec.discriminator import (
    Discriminator,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
)
from mtj_trainer.families.codec.quantizer import TrainingQuantizer
from mtj_trainer.families.codec.snake import use_fast_snake
from mtj_trainer.families.codec.spectral import MelDistance, Spectrograms, stft_distance

if TYPE_CHECKING:
    from transformers import DacConfig, DacModel

BALANCED = ("waveform", "stft", "mel", "adversarial", "feature_matching")
"""Losses of the decoded audio."""


@dataclass(frozen=True)
class CodecSizes:
    """Sizes of a codec.

    Attributes:
        sample_rate: samples a second.
        encoder_width: channels after the encoder's first layer; each stride doubles them.
        strides: by how much each of the encoder's blocks shortens; their product is a frame's samples.
        decoder_width: channels of the decoder's first layer; each stride halves them.
        codebooks, codebook_size, codebook_dim: of residual quantization; the size is a power of 2.
    """

    sample_rate: int
    encoder_width: int
    strides: tuple[int, ...]
    decoder_width: int
    codebooks: int
    codebook_size: int
    codebook_dim: int

    def config(self) -> DacConfig:
        """As transformers writes it."""
        from transformers import DacConfig  # takes seconds to import

        return DacConfig(
            architectures=["DacModel"],
            sampling_rate=self.sample_rate,
            encoder_hidden_size=self.encoder_width,
            downsampling_ratios=list(self.strides),
            decoder_hidden_size=self.decoder_width,
            n_codebooks=self.codebooks,
            codebook_size=self.codebook_size,
            codebook_dim=self.codebook_dim,
        )


def make_codec(sizes: CodecSizes) -> DacModel:
    """A codec with random weights, which follow from torch's random state.

    DAC itself begins with weights of one small size (standard deviation 0.02) whatever a layer's inputs are, and with
    projections to and from the codebooks that have nothing to do with each other. Here convolutions keep the size of
    what goes through (He et al. 2015, arXiv 1502.01852) and add nothing to it: a random bias is the same in every
    frame, and the codebooks would begin with describing that. Each codebook takes an orthogonal part of the latent
    away and gives it back, so that from the first step on a residual is what the codebooks before have left.
    """
    from transformers import DacModel

    codec = DacModel(sizes.config())
    for module in codec.modules():
        if isinstance(module, nn.Conv1d):
            module.reset_parameters()
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for one in codec.quantizer.quantizers:
        nn.init.orthogonal_(one.in_proj.weight)
        with torch.no_grad():
            one.out_proj.weight.copy_(one.in_proj.weight.transpose(0, 1))
    return codec


class CodecTraining(nn.Module):
    """A codec and what is only there to train it.

    Args:
        codec: which is trained; it computes with a faster activation from now on.
        weights: of the losses of ``BALANCED`` and of ``commitment``; without a weight for ``adversarial`` there is no
            discriminator.
        fresh: the codebooks are random; if not, training goes on with them.
    """

    def __init__(self, codec: DacModel, weights: Mapping[str, float], *, fresh: bool = True) -> None:
        super().__init__()
        use_fast_snake(codec)
        self.codec = codec
        self.quantizer = TrainingQuantizer(codec.quantizer, fresh=fresh)
        self.spectrograms = Spectrograms()
        self.mel = MelDistance(codec.config.sampling_rate)
        self.balancer = GradientBalancer({name: weights[name] for name in BALANCED if weights.get(name, 0.0) > 0})
        self.discriminator = Discriminator() if "adversarial" in self.balancer.weights else None
        self._commitment = weights.get("commitment", 0.0)

    def forward(self, audio: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, N) of whole frames to the loss, a scalar, and its terms, which have no gradient.

        When not in training, to what comes back from the codes, with an odd stride some samples less, and no terms.
        """
        hidden = self.codec.encoder(audio[:, None])
        with torch.autocast(audio.device.type, enabled=False):
            quantized = self.quantizer(self.codec.quantizer, hidden.float())
        decoded = self.codec.decoder(quantized.hidden)[:, 0].float()
        if not self.training:
            return decoded, {}
        reference = audio[:, : decoded.shape[1]]  # with an odd stride DAC gives some samples less
        with torch.autocast(audio.device.type, enabled=False):
            copy = decoded.detach().requires_grad_()
            losses, own = self._losses(copy, reference)
            terms = {name: loss.detach() for name, loss in losses.items()}
            weighted = torch.stack([weight * terms[name] for name, weight in self.balancer.weights.items()]).sum()
            total = with_gradient(weighted, decoded, self.balancer(losses, copy))
            total = total + self._commitment * quantized.commitment
        if own is not None:
            total = total + own
            terms["discriminator"] = own.detach()
        terms |= {"commitment": quantized.commitment.detach(), "codebook_use": self.quantizer.use()}
        return total, terms

    def _losses(self, decoded: Tensor, reference: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """The losses of the codec that have a weight, and the discriminator's own loss."""
        wanted = self.balancer.weights
        losses = {}
        if "waveform" in wanted:
            losses["waveform"] = (decoded - reference).abs().mean()
        if "stft" in wanted or "mel" in wanted:
            here, there = self.spectrograms(decoded), self.spectrograms(reference)
            if "stft" in wanted:
                losses["stft"] = stft_distance(here, there)
            if "mel" in wanted:
                losses["mel"] = self.mel(here, there)
        if self.discriminator is None:
            return losses, None
        seen, real = self.discriminator(decoded), self.discriminator(reference)
        losses["adversarial"] = adversarial_loss(seen)
        if "feature_matching" in wanted:
            losses["feature_matching"] = feature_matching_loss(real, seen)
        return losses, discriminator_loss(real, seen)
