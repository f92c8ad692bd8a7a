"""Codebooks in training: they follow what is quantized, none of their entries stays unused, and DAC is computed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.dac.modeling_dac import Snake1d

from mtj_trainer.families.codec import quantizer as quantization
from mtj_trainer.families.codec.model import make_codec
from mtj_trainer.families.codec.quantizer import TrainingQuantizer
from mtj_trainer.families.codec.snake import Snake, use_fast_snake
from support import quantized_together
from support.quantized_together import TINY


def quantizer_of_tiny(*, fresh: bool = True) -> tuple[TrainingQuantizer, Any]:
    torch.manual_seed(0)
    own = make_codec(TINY).quantizer
    return TrainingQuantizer(own, fresh=fresh), own


def clusters(count: int, frames: int = 200) -> Tensor:
    """(2, D, frames) hidden states around ``count`` points."""
    points = torch.randn(count, 16)
    return (points[torch.randint(count, (2, frames))] + 0.01 * torch.randn(2, frames, 16)).transpose(1, 2)


def test_it_quantizes_as_dac_does() -> None:
    training, own = quantizer_of_tiny(fresh=False)
    hidden = torch.randn(2, 16, 30)
    theirs = own.eval()(hidden)
    found = training.eval()(own, hidden)
    torch.testing.assert_close(found.hidden, theirs[0])
    assert torch.equal(found.codes, theirs[1])
    torch.testing.assert_close(found.commitment, theirs[3].mean())


def test_all_entries_come_into_use() -> None:
    training, own = quantizer_of_tiny()
    for _ in range(150):
        training(own, torch.randn(2, 16, 100))
    assert float(training.use()) > 0.8
    codes = training.eval()(own, torch.randn(2, 16, 2000)).codes
    assert all(len(codes[:, k].unique()) == TINY.codebook_size for k in range(TINY.codebooks))


def test_entries_follow_when_the_encoder_moves_away() -> None:
    training, own = quantizer_of_tiny()
    for _ in range(100):
        training(own, clusters(16))
    moved = 5.0 + 3.0 * clusters(16)
    first = training(own, moved).commitment
    for _ in range(300):
        last = training(own, moved).commitment
    assert last < 0.1 * first


def test_use_counts_from_one_entry_to_all() -> None:
    training, _ = quantizer_of_tiny()
    training.usage.zero_()[:, 3] = 1.0
    assert float(training.use()) == pytest.approx(1 / 16)
    training.usage.fill_(0.7)
    assert float(training.use()) == pytest.approx(1.0)


def test_codebooks_of_a_pretrained_codec_stay_where_they_are() -> None:
    training, own = quantizer_of_tiny(fresh=False)
    before = own.quantizers[0].codebook.weight.clone()
    training(own, 0.1 * torch.randn(2, 16, 5))
    assert (own.quantizers[0].codebook.weight - before).abs().max() < 2 * (1 - quantization.DECAY)


def test_evaluation_changes_nothing() -> None:
    training, own = quantizer_of_tiny(fresh=False)
    before = {name: value.clone() for name, value in [*training.state_dict().items(), *own.state_dict().items()]}
    training.eval()(own.eval(), torch.randn(2, 16, 30))
    assert all(
        torch.equal(before[name], value) for name, value in [*training.state_dict().items(), *own.state_dict().items()]
    )


def test_the_encoder_gets_the_decoders_gradient_and_the_codebooks_none() -> None:
    training, own = quantizer_of_tiny(fresh=False)
    hidden = torch.randn(2, 16, 30, requires_grad=True)
    training(own, hidden).hidden.square().sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.abs().sum() > 0
    assert all(one.codebook.weight.grad is None for one in own.quantizers)


@pytest.mark.slow
def test_two_processes_with_audio_of_their_own_keep_the_same_codec_with_every_engine(tmp_path: Path) -> None:
    command = [sys.executable, quantized_together.__file__]
    together = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen([*command, str(rank), str(tmp_path)], env=together) for rank in range(2)]
    assert [one.wait() for one in running] == [0, 0]
    one, other = (torch.load(tmp_path / f"torchrun-{rank}.pt", weights_only=True) for rank in range(2))
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert different == []
    gathered = torch.load(tmp_path / "fsdp-0.pt", weights_only=True)
    torch.testing.assert_close(gathered, dict(one), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 5.0])
def test_the_fast_snake_is_dacs(alpha: float) -> None:
    torch.manual_seed(0)
    theirs = Snake1d(3).double()
    theirs.alpha.data.mul_(alpha).add_(0.1 * torch.randn(1, 3, 1))
    own = Snake(torch.nn.Parameter(theirs.alpha.detach().clone()))
    values = torch.randn(2, 3, 50, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(own(values), theirs(values))
    assert torch.autograd.gradcheck(own, (values,))
    gradient = torch.randn(2, 3, 50, dtype=torch.float64)
    found = torch.autograd.grad(own(values), [values, own.alpha], gradient)
    expected = torch.autograd.grad(theirs(values), [values, theirs.alpha], gradient)
    torch.testing.assert_close(found, expected)


def test_exchanging_the_activation_keeps_weights_and_output() -> None:
    torch.manual_seed(0)
    codec = make_codec(TINY).eval()
    audio = 0.1 * torch.randn(2, 1, 640)
    with torch.no_grad():
        before, weights = codec(audio).audio_values, codec.state_dict()
        use_fast_snake(codec)
        torch.testing.assert_close(codec(audio).audio_values, before)
    assert codec.state_dict().keys() == weights.keys()
    assert not any(isinstance(module, Snake1d) for module in codec.modules())
