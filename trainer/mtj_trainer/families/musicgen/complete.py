"""A whole MusicGen: text encoder, codec and decoder as transformers has them, with the tokenizer of its texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mtj_trainer.families.musicgen.model import MusicGenStep


@dataclass(frozen=True)
class MusicGen:
    """A model that can be trained, published and asked for music.

    Attributes:
        complete: transformers' ``MusicgenForConditionalGeneration`` or ``MusicgenMelodyForConditionalGeneration``.
        tokenizer: of its text encoder.
        context: frames of music that it was trained on at a time.
        learns_text: whether the text encoder is trained along.
    """

    complete: Any
    tokenizer: Any
    context: int
    learns_text: bool = False

    @property
    def is_melodic(self) -> bool:
        """Whether it listens to a melody."""
        return bool(self.complete.config.model_type == "musicgen_melody")

    @property
    def pad(self) -> int:
        """The decoder's code for nothing."""
        return int(self.complete.config.decoder.pad_token_id)

    @property
    def codebooks(self) -> int:
        """Codes a frame, those of both channels for stereo."""
        return int(self.complete.config.decoder.num_codebooks)

    @property
    def channels(self) -> int:
        """2 where the codebooks are left and right in turn, each with the codec's codes of a mono signal."""
        return int(self.complete.config.decoder.audio_channels)

    def step(self) -> MusicGenStep:
        """The training module, of the same weights."""
        complete = self.complete
        return MusicGenStep(
            complete.decoder,
            getattr(complete, "enc_to_dec_proj", None),
            getattr(complete, "audio_enc_to_dec_proj", None),
            complete.text_encoder.encoder if self.learns_text else None,
            complete.config.chroma_length if self.is_melodic else 0,
        )
