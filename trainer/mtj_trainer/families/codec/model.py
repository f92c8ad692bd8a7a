"""A codec in training: all that a step computes, in one forward pass, so that it can be called through any wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mtj_trainer.families.codec.balance import GradientBalancer, with_gradient
from mtj_trainer.families.codec.quantizer import TrainingQuantizer
from mtj_trainer.families.codec.snake import use_fast_snake
from mtj_trainer.families.codec.spectral import MelDistance, Spectrograms, stft_distance

if TYPE_CHECKING:
    from transformers import DacModel


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


def make_codec(sizes: CodecSizes) -> DacModel:
    """A codec with random weights, which follow from torch's random state."""
    from transformers import DacConfig, DacModel

    codec = DacModel(
        DacConfig(
            sampling_rate=sizes.sample_rate,
            encoder_hidden_size=sizes.encoder_width,
            downsampling_ratios=list(sizes.strides),
            decoder_hidden_size=sizes.decoder_width,
            n_codebooks=sizes.codebooks,
            codebook_size=sizes.codebook_size,
            codebook_dim=sizes.codebook_dim,
        )
    )
    return codec


class CodecTraining(nn.Module):
    """A codec and what is only there to train it.

    Args:
        codec: which is trained; it computes with a faster activation from now on.
        weights: of the losses: ``waveform``, ``stft``, ``mel``, ``commitment``.
    """

    def __init__(self, codec: DacModel, weights: Mapping[str, float]) -> None:
        super().__init__()
        use_fast_snake(codec)
        self.codec = codec
        self.quantizer = TrainingQuantizer(codec.quantizer)
        self.spectrograms = Spectrograms()
        self.mel = MelDistance(codec.config.sampling_rate)
        self._commitment = weights["commitment"]
        self.balancer = GradientBalancer({n: w for n, w in weights.items() if n != "commitment" and w > 0})

    def forward(self, audio: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, N) of whole frames to the loss, a scalar, and its terms, which have no gradient."""
        hidden = self.codec.encoder(audio[:, None])
        with torch.autocast(audio.device.type, enabled=False):
            quantized = self.quantizer(self.codec.quantizer, hidden.float())
        decoded = self.codec.decoder(quantized.hidden)[:, 0]
        with torch.autocast(audio.device.type, enabled=False):
            decoded = decoded.float()
            reference = audio[:, : decoded.shape[1]]
            leaf = decoded.detach().requires_grad_()
            losses = self._losses(leaf, reference)
            gradient = self.balancer(losses, leaf)
            terms = {name: loss.detach() for name, loss in losses.items()}
            weighted = sum((w * terms[n] for n, w in self.balancer.weights.items()), torch.zeros(()))
            total = with_gradient(weighted, decoded, gradient) + self._commitment * quantized.commitment
        terms |= {"commitment": quantized.commitment.detach(), "codebook_use": self.quantizer.use()}
        return total, terms

    def _losses(self, decoded: Tensor, reference: Tensor) -> dict[str, Tensor]:
        here = self.spectrograms(decoded)
        with torch.no_grad():
            there = self.spectrograms(reference)
        losses = {"waveform": (decoded - reference).abs().mean()}
        losses["stft"] = stft_distance(here, there)
        losses["mel"] = self.mel(here, there)
        return losses
