"""The training module: the decoder and what conditions it, without the codec and without a frozen text encoder.

Its parameters are named as in transformers' ``MusicgenForConditionalGeneration`` and ``MusicgenMelody...``.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtj_trainer.families.musicgen.batch import MusicGenBatch
from mtj_trainer.families.musicgen.delay import IGNORED


class MusicGenStep(nn.Module):
    """Nats of a batch's codes, codebook by codebook (Copet et al. 2023, arXiv 2306.05284).

    Args:
        decoder: transformers' ``MusicgenForCausalLM``, which listens to its condition by cross-attention, or
            ``MusicgenMelodyForCausalLM``, which reads it before the music.
        enc_to_dec_proj: from the width of text states to the decoder's, where they differ.
        audio_enc_to_dec_proj: from chroma to the decoder's width: the decoder listens to a melody.
        text_encoder: the stack of a T5 that is trained along; without one, batches bring text states.
        chroma_length: frames of chroma before the text, however long the melody is.
    """

    def __init__(
        self,
        decoder: Any,
        enc_to_dec_proj: nn.Linear | None = None,
        audio_enc_to_dec_proj: nn.Linear | None = None,
        text_encoder: nn.Module | None = None,
        chroma_length: int = 0,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.enc_to_dec_proj = enc_to_dec_proj
        self.audio_enc_to_dec_proj = audio_enc_to_dec_proj
        self.text_encoder = nn.ModuleDict({"encoder": text_encoder}) if text_encoder is not None else None
        self.chroma_length = chroma_length

    def forward(self, batch: MusicGenBatch) -> Tensor:
        """(K,) nats: each codebook's, summed over the labels that count."""
        states, mask = self.condition(batch)
        seen: dict[str, Any] = {"encoder_hidden_states": states}
        if not self.chroma_length and mask is not None:
            seen["encoder_attention_mask"] = mask[:, None, None, :].expand(-1, 1, batch.inputs.shape[2], -1)
        hidden = self.decoder.model.decoder(input_ids=batch.inputs, use_cache=False, **seen).last_hidden_state
        hidden = hidden[:, -batch.inputs.shape[2] :].flatten(0, 1)
        # A head at a time: as fast as one product for all, and a quarter of the memory.
        nats = [
            F.cross_entropy(head(hidden).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum")
            for head, labels in zip(self.decoder.lm_heads, batch.labels.unbind(1), strict=True)
        ]
        return torch.stack(nats)

    def condition(self, batch: MusicGenBatch) -> tuple[Tensor, Tensor | None]:
        """(B, L, width) states that the decoder listens to, and (B, L) which of them are real; ``None`` for all.

        Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598): a hidden condition is all zeros. The decoder
        reads those as no text at all, since its keys and values have no bias.
        """
        if self.text_encoder is not None:
            mask = batch.mask[:, None, None, :] if batch.mask is not None else None
            states = self.text_encoder["encoder"](input_ids=batch.text, attention_mask=mask).last_hidden_state
        else:
            states = batch.text
        if self.enc_to_dec_proj is not None:
            states = self.enc_to_dec_proj(states)
        heard = batch.heard[:, None] if batch.mask is None else batch.mask & batch.heard[:, None]
        states = states * heard[..., None]
        if not self.chroma_length:
            return states, batch.mask
        assert batch.melody is not None
        return torch.cat([repeated(batch.melody, self.audio_enc_to_dec_proj, self.chroma_length), states], dim=1), None


def repeated(chroma: Tensor, projection: nn.Linear | None, length: int) -> Tensor:
    """(B, M, 12) chroma to (B, length, width): projected, then repeated or cut, as transformers has it."""
    projected = projection(chroma) if projection is not None else chroma
    return projected.repeat(1, -(-length // projected.shape[1]), 1)[:, :length]
