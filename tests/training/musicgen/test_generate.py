"""Composing: the codes that transformers itself would write, and pieces that do not depend on their neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.generate import Request, codec_of_model, generate, generate_audio
from mtj_trainer.families.musicgen.melody import ChromaSettings, chroma
from mtj_trainer.families.musicgen.sampling import Sampling, draw, numbers
from support.musicgen import CAPTIONS, dac, tiny

GREEDY = Sampling(temperature=0, guidance=1)
FRAMES = 20


def sharpened(model: MusicGen) -> MusicGen:
    """The model with logits so far apart that rounding does not decide between them, and that heeds its condition."""
    torch.manual_seed(3)
    for parameter in model.complete.decoder.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope="module")
def model() -> MusicGen:
    return sharpened(tiny())


@pytest.fixture(scope="module")
def melodic() -> MusicGen:
    return sharpened(tiny(melody=True))


def theirs(model: MusicGen, frames: int, guidance: float, **inputs: Any) -> Tensor:
    """(B, K, frames): what transformers' ``generate`` writes, caught before it becomes audio."""
    caught: list[Tensor] = []
    codec = model.complete.audio_encoder
    own = codec.decode

    def decode(codes: Tensor, audio_scales: Any) -> Any:
        caught.append(codes[0])
        return own(codes, audio_scales)

    codec.decode = decode
    try:
        length = frames + model.codebooks
        model.complete.generate(**inputs, do_sample=False, max_length=length, guidance_scale=guidance)
    finally:
        del codec.decode
    return caught[0]


def tokens(model: MusicGen, texts: tuple[str, ...]) -> dict[str, Tensor]:
    return dict(model.tokenizer(list(texts), padding=True, return_tensors="pt"))


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_greedy_codes_are_those_of_transformers(model: MusicGen, guidance: float) -> None:
    sampling = Sampling(temperature=0, guidance=guidance)
    ours = torch.stack(generate(model, [Request(text) for text in CAPTIONS], FRAMES, sampling))
    assert torch.equal(ours, theirs(model, FRAMES, guidance, **tokens(model, CAPTIONS)))
    assert not torch.equal(ours[0], ours[1])


def test_greedy_continuations_are_those_of_transformers(model: MusicGen) -> None:
    audio = torch.randn(1, 1, 6 * 64)
    opening = codec_of_model(model).encode(audio)[0]
    ours = generate(model, [Request(CAPTIONS[0], opening=opening)], FRAMES, GREEDY)[0]
    assert torch.equal(ours[:, : opening.shape[1]], opening)
    assert torch.equal(ours, theirs(model, FRAMES, 1.0, **tokens(model, CAPTIONS[:1]), input_values=audio)[0])


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_greedy_codes_after_a_melody_are_those_of_transformers(melodic: MusicGen, guidance: float) -> None:
    tone = torch.sin(torch.arange(16_000) * 440 * 2 * torch.pi / 16_000)
    heard = chroma(tone, ChromaSettings.at(16_000))[None]
    sampling = Sampling(temperature=0, guidance=guidance)
    with_it, without = (
        generate(melodic, [Request(CAPTIONS[0], melody=melody)], FRAMES, sampling)[0] for melody in (tone, None)
    )
    text = tokens(melodic, CAPTIONS[:1])
    assert torch.equal(with_it, theirs(melodic, FRAMES, guidance, **text, input_features=heard)[0])
    assert torch.equal(without, theirs(melodic, FRAMES, guidance, **text)[0])
    assert not torch.equal(with_it, without)


@pytest.mark.parametrize("make", [tiny, lambda: tiny(melody=True)], ids=["text", "melody"])
def test_a_piece_does_not_depend_on_its_neighbours(make: Callable[[], MusicGen]) -> None:
    model = make()
    opening = torch.zeros(model.codebooks, 3, dtype=torch.long)
    others = [Request(CAPTIONS[1], seed=8), Request("a", seed=9, opening=opening)]
    alone = generate(model, [Request(CAPTIONS[0], seed=7)], FRAMES, Sampling())
    beside = generate(model, [*others, Request(CAPTIONS[0], seed=7)], FRAMES, Sampling())
    assert torch.equal(alone[0], beside[2])
    assert not torch.equal(alone[0], generate(model, [Request(CAPTIONS[0], seed=8)], FRAMES, Sampling())[0])


def test_music_longer_than_the_context_keeps_half_of_it_in_view(model: MusicGen) -> None:
    """A window is what the model writes after the half before it, given as an opening."""
    context = model.context
    long = generate(model, [Request(CAPTIONS[0])], 2 * context, GREEDY)[0]
    assert long.shape == (model.codebooks, 2 * context)
    assert ((long >= 0) & (long < model.pad)).all()
    second = generate(model, [Request(CAPTIONS[0], opening=long[:, context // 2 : context])], context, GREEDY)[0]
    assert torch.equal(long[:, context // 2 : context + context // 2], second)


@pytest.mark.parametrize("codec", [None, dac()], ids=["encodec", "dac"])
def test_audio_is_as_long_as_asked_for(codec: Any) -> None:
    audio = generate_audio(tiny(codec), [Request(CAPTIONS[0]), Request("")], 0.05, Sampling())
    assert [piece.shape for piece in audio] == [(1, 832), (1, 832)]  # 13 frames of 64 samples
    assert all(piece.isfinite().all() for piece in audio)


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (Request("a", melody=torch.zeros(100)), "listens to no melody"),
        (Request("a", opening=torch.zeros(3, 2, dtype=torch.long)), r"\(4, frames\) codes, not \(3, 2\)"),
        (Request("a", opening=torch.zeros(4, 20, dtype=torch.long)), "leaves nothing to write"),
    ],
)
def test_what_cannot_be_written_is_refused(model: MusicGen, request_: Request, refused: str) -> None:
    with pytest.raises(ValueError, match=refused):
        generate(model, [request_], FRAMES, GREEDY)


@given(st.integers(0, 1000), st.integers(0, 8), st.floats(0.05, 1.0), st.floats(0.3, 2.0))
def test_drawn_codes_are_among_the_likeliest(seed: int, top_k: int, top_p: float, temperature: float) -> None:
    logits = 3 * torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(seed))
    sampling = Sampling(temperature, top_k, top_p)
    codes = draw(logits, numbers([seed, seed + 1], 1, 3)[:, 0], sampling)
    likely = torch.softmax(logits.double() / temperature, dim=-1)
    rank = (likely > likely.gather(-1, codes[..., None])).sum(dim=-1)
    before = torch.where(likely > likely.gather(-1, codes[..., None]), likely, 0).sum(dim=-1)
    assert (rank < (top_k or 8)).all()
    kept = likely.sort(descending=True).values[..., : top_k or 8].sum(dim=-1)
    assert (before / kept < top_p + 1e-6).all()


def test_codes_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([2.0, 0.0, 1.0, -1.0]).log_softmax(dim=0)
    chances = (torch.arange(4000) + 0.5)[:, None] / 4000
    codes = draw(logits.expand(4000, 1, 4), chances, Sampling(top_k=0))
    torch.testing.assert_close(torch.bincount(codes.flatten()) / 4000, logits.exp(), atol=1e-3, rtol=0)
