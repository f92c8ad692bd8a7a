"""Composing: from texts, melodies and openings to codes, and from codes to audio.

Music longer than the model's context is written window by window, each with the last half of the one before in view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.delay import IGNORED, delay, pattern, undelay
from mtj_trainer.families.musicgen.melody import ChromaSettings, chroma, no_melody, passage
from mtj_trainer.families.musicgen.model import repeated
from mtj_trainer.families.musicgen.sampling import Sampling, draw, numbers
from mtj_trainer.families.musicgen.text import text_states


@dataclass(frozen=True)
class Request:
    """A piece to write.

    Attributes:
        text: what it should be like; empty for anything.
        seed: of its random numbers.
        melody: (N,) mono audio at the codec's sample rate, for a model that listens to one.
        opening: (K, P) codes to go on from; they become the piece's beginning.
    """

    text: str
    seed: int = 0
    melody: Tensor | None = None
    opening: Tensor | None = None


def generate_audio(model: MusicGen, requests: Sequence[Request], seconds: float, sampling: Sampling) -> list[Tensor]:
    """(channels, N) float32 a request, of at least ``seconds`` at the codec's sample rate, openings included.

    Raises:
        ValueError: as of ``generate``.
    """
    codec = codec_of_model(model)
    frames = max(1, -(-round(seconds * codec.sample_rate) // codec.hop))
    pieces = generate(model, requests, frames, sampling)
    audio = []
    for codes in pieces:
        sides = codes.view(-1, model.channels, codes.shape[-1]).transpose(0, 1)
        audio.append(codec.decode(sides).flatten(0, 1).cpu())
    return audio


@torch.inference_mode()
def generate(model: MusicGen, requests: Sequence[Request], frames: int, sampling: Sampling) -> list[Tensor]:
    """(K, frames) int64 codes a request, with its opening as the beginning.

    Requests with equally long openings are written side by side. For a model that listens to melodies so are only
    those with equally long texts, since a text's length moves the music's positions.

    Raises:
        ValueError: there is a melody and the model listens to none, or an opening is not (K, P) with P below frames.
    """
    for request in requests:
        _check(model, request, frames)
    complete = model.complete
    was_training = complete.training
    complete.eval()
    states = text_states(complete.text_encoder, model.tokenizer, [request.text for request in requests])
    groups: dict[tuple[int, int], list[int]] = {}
    for index, request in enumerate(requests):
        opened = 0 if request.opening is None else request.opening.shape[1]
        groups.setdefault((opened, len(states[index]) if model.is_melodic else 0), []).append(index)
    found: dict[int, Tensor] = {}
    for (opened, _), members in groups.items():
        chosen = [requests[index] for index in members]
        writer = _Writer(model, chosen, [torch.from_numpy(states[index]) for index in members], sampling)
        codes = torch.full((len(members), model.codebooks, 0), 0, dtype=torch.long, device=writer.device)
        if opened:
            codes = torch.stack([request.opening for request in chosen if request.opening is not None])
        found |= dict(zip(members, writer.write(codes.to(writer.device), frames).cpu(), strict=True))
    complete.train(was_training)
    return [found[index] for index in range(len(requests))]


def codec_of_model(model: MusicGen) -> Any:
    """The codec inside, of one channel where the model's codebooks are left and right in turn."""
    from mtj_trainer.families.codec.codec import codec_of

    return codec_of(model.complete.audio_encoder)


def _check(model: MusicGen, request: Request, frames: int) -> None:
    if request.melody is not None and not model.is_melodic:
        raise ValueError("this model listens to no melody")
    opening = request.opening
    if opening is not None and not (opening.ndim == 2 and opening.shape[0] == model.codebooks):
        raise ValueError(f"an opening has ({model.codebooks}, frames) codes, not {tuple(opening.shape)}")
    if opening is not None and opening.shape[1] >= frames:
        raise ValueError(f"an opening of {opening.shape[1]} frames leaves nothing to write of {frames}")


class _Writer:
    """Pieces that are written side by side."""

    def __init__(
        self, model: MusicGen, requests: Sequence[Request], states: Sequence[Tensor], sampling: Sampling
    ) -> None:
        self._model = model
        self._decoder: Any = model.complete.decoder
        self.device = next(self._decoder.parameters()).device
        self._sampling = sampling
        self._requests = requests
        self._texts = states
        self._settings = ChromaSettings.at(model.complete.config.audio_encoder.sampling_rate)
        self._melodies = [
            None if request.melody is None else chroma(request.melody, self._settings) for request in requests
        ]

    def write(self, codes: Tensor, frames: int) -> Tensor:
        """(B, K, P) codes to (B, K, frames) with those at their beginning."""
        context = self._model.context
        steps = frames + self._model.codebooks
        chances = numbers([request.seed for request in self._requests], steps, self._model.codebooks)
        first = 0
        while True:
            end = min(frames, first + context)
            window = self._window(codes[..., first:], end - first, chances[:, first:], first)
            codes = torch.cat([codes[..., :first], window], dim=2)
            if end == frames:
                return codes
            first = end - context // 2

    def _window(self, known: Tensor, frames: int, chances: Tensor, first: int) -> Tensor:
        """(B, K, P) codes that are there to (B, K, frames)."""
        from transformers import DynamicCache, EncoderDecoderCache

        model, sampling = self._model, self._sampling
        batch, codebooks, given = known.shape
        unknown = known.new_full((batch, codebooks, frames - given), IGNORED)
        columns = delay(torch.cat([known, unknown], dim=2), model.channels)
        free = (columns == IGNORED) & pattern(codebooks, frames, model.channels).to(self.device)
        columns = columns.masked_fill(columns == IGNORED, model.pad)
        guided = sampling.guidance != 1.0
        condition = self._condition(guided, first)
        cache = EncoderDecoderCache(
            DynamicCache(config=self._decoder.config), DynamicCache(config=self._decoder.config)
        )
        chances = chances.to(self.device)
        read = 0
        for column in range(given + 1, columns.shape[2]):
            fed = columns[..., read:column]
            fed = fed.repeat(2, 1, 1) if guided else fed
            hidden = self._decoder.model.decoder(
                input_ids=fed, past_key_values=cache, use_cache=True, **condition
            ).last_hidden_state[:, -1]
            logits = torch.stack([head(hidden) for head in self._decoder.lm_heads], dim=1)
            if guided:
                with_it, without = logits.chunk(2)
                logits = without + sampling.guidance * (with_it - without)
            drawn = draw(logits, chances[:, column - 1], sampling)
            columns[..., column] = torch.where(free[..., column], drawn, columns[..., column])
            if model.is_melodic:
                condition = {}  # it lies in the cache, before the music
            read = column
        return undelay(columns, model.channels)

    def _condition(self, guided: bool, first: int) -> dict[str, Tensor]:
        """What the decoder listens to: for guidance first with the condition and then without, row by row."""
        complete = self._model.complete
        states = torch.nn.utils.rnn.pad_sequence(list(self._texts), batch_first=True).to(self.device)
        lengths = torch.tensor([len(text) for text in self._texts], device=self.device)
        mask = torch.arange(states.shape[1], device=self.device) < lengths[:, None]
        projection = getattr(complete, "enc_to_dec_proj", None)
        states = (projection(states) if projection is not None else states) * mask[..., None]
        if guided:
            states, mask = torch.cat([states, torch.zeros_like(states)]), mask.repeat(2, 1)
        if not self._model.is_melodic:
            return {"encoder_hidden_states": states, "encoder_attention_mask": mask[:, None, None, :]}
        length = complete.config.chroma_length
        heard = [self._heard(melody, first, length) for melody in self._melodies]
        heard += [no_melody(length)] * len(heard) if guided else []
        melody = repeated(torch.stack(heard).to(states), getattr(complete, "audio_enc_to_dec_proj", None), length)
        return {"encoder_hidden_states": torch.cat([melody, states], dim=1)}

    def _heard(self, melody: Tensor | None, first: int, length: int) -> Tensor:
        """(chroma_length, 12): what goes with a window from frame ``first`` on."""
        if melody is None:
            return no_melody(length)
        return passage(melody, round(first * codec_of_model(self._model).hop / self._settings.hop), length)
