"""The delay pattern, and that it is transformers' own."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtj_trainer.families.musicgen.delay import IGNORED, delay, inputs_and_labels, pattern, undelay
from support.musicgen import decoder_config

PAD = 64


@st.composite
def codes_and_channels(draw: st.DrawFn) -> tuple[Tensor, int]:
    channels = draw(st.sampled_from([1, 2]))
    shape = draw(st.integers(1, 3)), channels * draw(st.integers(1, 5)), draw(st.integers(1, 12))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    return torch.randint(0, PAD, shape, generator=generator), channels


def test_each_codebook_is_a_step_later_than_the_one_before_it() -> None:
    inputs, labels = inputs_and_labels(torch.tensor([[[1, 2, 3], [4, 5, 6]]]), pad=9)
    assert inputs.tolist() == [[[9, 1, 2, 3], [9, 9, 4, 5]]]
    assert labels.tolist() == [[[1, 2, 3, IGNORED], [IGNORED, 4, 5, 6]]]


@given(codes_and_channels())
def test_undoing_the_delay_gives_the_codes_back(example: tuple[Tensor, int]) -> None:
    codes, channels = example
    assert torch.equal(undelay(delay(codes, channels), channels), codes)


@given(codes_and_channels())
def test_each_code_is_predicted_once_and_what_is_read_is_what_was_predicted(example: tuple[Tensor, int]) -> None:
    codes, channels = example
    inputs, labels = inputs_and_labels(codes, PAD, channels)
    assert torch.equal((labels != IGNORED).sum(dim=2), torch.full(codes.shape[:2], codes.shape[2]))
    said = labels[..., :-1]
    assert torch.equal(inputs[..., 1:], said.masked_fill(said == IGNORED, PAD))
    assert (inputs[..., 0] == PAD).all()


@given(codes_and_channels(), st.integers(0, 11))
def test_what_is_not_known_is_read_as_nothing_and_not_predicted(example: tuple[Tensor, int], known: int) -> None:
    codes, channels = example
    partly = codes.clone()
    partly[..., known:] = IGNORED
    inputs, labels = inputs_and_labels(partly, PAD, channels)
    assert int((labels != IGNORED).sum()) == partly[..., :known].numel()
    assert ((inputs >= 0) & (inputs <= PAD)).all()


@given(codes_and_channels())
@settings(max_examples=40)
def test_the_pattern_is_that_of_transformers(example: tuple[Tensor, int]) -> None:
    from transformers import MusicgenForCausalLM

    codes, channels = example
    batch, codebooks, frames = codes.shape
    length = frames + codebooks // channels
    if length < 2 * (codebooks // channels) - 1:
        return  # too short for their pattern
    their = _Pattern(codebooks, decoder_config(codebooks=codebooks, audio_channels=channels))
    begun = torch.cat([torch.full((batch, codebooks, 1), PAD), codes], dim=2).flatten(0, 1)
    _, columns = MusicgenForCausalLM.build_delay_pattern_mask(their, begun, PAD, max_length=length)
    ours = delay(codes, channels)
    assert torch.equal(columns.view(batch, codebooks, -1), ours.masked_fill(ours == IGNORED, PAD))
    empty, mask = MusicgenForCausalLM.build_delay_pattern_mask(their, begun[:, :1], PAD, max_length=length)
    assert torch.equal(mask.view(batch, codebooks, -1)[0] == -1, pattern(codebooks, frames, channels))
    assert empty.shape[1] == 1


class _Pattern:
    """As much of transformers' decoder as its pattern needs."""

    def __init__(self, codebooks: int, config: object) -> None:
        self.num_codebooks = codebooks
        self.config = config
