"""The training module: transformers' own loss, and what a hidden condition is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mtj_trainer.families.musicgen.batch import Example, MusicGenBatch, collate
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.delay import IGNORED, inputs_and_labels
from mtj_trainer.families.musicgen.melody import no_melody
from mtj_trainer.families.musicgen.text import text_states, token_ids
from support.musicgen import CAPTIONS, CODEBOOK_SIZE, CODEBOOKS, tiny, with_text_width

FRAMES = 12


def examples(model: MusicGen, heard: tuple[bool, bool] = (True, True)) -> list[Example]:
    random = np.random.default_rng(0)
    if model.learns_text:
        texts: list[Any] = token_ids(model.tokenizer, CAPTIONS)
    else:
        texts = text_states(model.complete.text_encoder, model.tokenizer, CAPTIONS)
    melodies = [None, None]
    if model.is_melodic:
        length = model.complete.config.chroma_length
        melodies = [no_melody(length).numpy().copy(), np.eye(12, dtype=np.float32)[np.arange(length) % 12]]
    codes = random.integers(0, CODEBOOK_SIZE, (2, CODEBOOKS, FRAMES))
    return [Example(*row) for row in zip(codes, texts, heard, melodies, strict=True)]


def theirs(model: MusicGen, batch: MusicGenBatch, rows: list[Example]) -> Tensor:
    """transformers' own loss: the mean over codebooks of their mean cross-entropy."""
    text = model.tokenizer(list(CAPTIONS), padding=True, return_tensors="pt")
    known = {"input_features": batch.melody} if model.is_melodic else {}
    codes = torch.from_numpy(np.stack([row.codes for row in rows]))
    inputs, labels = inputs_and_labels(codes, CODEBOOK_SIZE)
    loss: Tensor = model.complete(
        **text, **known, decoder_input_ids=inputs.flatten(0, 1), labels=labels.transpose(1, 2)
    ).loss
    return loss


@pytest.mark.parametrize("melody", [False, True], ids=["text", "melody"])
@pytest.mark.parametrize("width", [None, 24], ids=["learned text encoder", "frozen text encoder of another width"])
def test_the_loss_is_that_of_transformers(melody: bool, width: int | None) -> None:
    model = tiny(melody=melody)
    if width is not None:
        model = with_text_width(model, width)
    model.complete.eval()
    rows = examples(model)
    batch = collate(rows, CODEBOOK_SIZE)
    nats = model.step().eval()(batch)
    assert nats.shape == (CODEBOOKS,)
    assert batch.counted == 2 * CODEBOOKS * FRAMES
    torch.testing.assert_close(nats.sum() / batch.counted, theirs(model, batch, rows), rtol=1e-5, atol=1e-6)
    assert (nats.sum() / batch.counted).item() == pytest.approx(np.log(CODEBOOK_SIZE), rel=0.05)


@pytest.mark.parametrize("melody", [False, True], ids=["text", "melody"])
def test_a_hidden_text_says_nothing(melody: bool) -> None:
    step = tiny(melody=melody).step().eval()
    first, second = examples(tiny(melody=melody), heard=(False, True))
    hidden = collate([first, second], CODEBOOK_SIZE)
    other = collate([replace(first, text=second.text[: len(first.text)]), second], CODEBOOK_SIZE)
    loud = collate([replace(first, heard=True), second], CODEBOOK_SIZE)
    torch.testing.assert_close(step(hidden), step(other))
    assert not torch.allclose(step(hidden), step(loud))


def test_an_example_costs_the_same_beside_a_longer_one() -> None:
    step = tiny().step().eval()
    long, short = examples(tiny())
    short = replace(short, codes=short.codes[:, :5])
    together, alone = (step(collate(rows, CODEBOOK_SIZE)) for rows in ([long, short], [short]))
    torch.testing.assert_close(together - step(collate([long], CODEBOOK_SIZE)), alone, rtol=1e-4, atol=1e-4)


def test_frames_that_do_not_count_are_read_and_not_predicted() -> None:
    row = examples(tiny())[0]
    batch = collate([replace(row, counted_from=5)], CODEBOOK_SIZE)
    whole = collate([row], CODEBOOK_SIZE)
    assert torch.equal(batch.inputs, whole.inputs)
    assert batch.counted == CODEBOOKS * (FRAMES - 5)
    assert torch.equal((batch.labels != IGNORED).sum(dim=2), torch.full((1, CODEBOOKS), FRAMES - 5))
    counts = batch.labels != IGNORED
    assert torch.equal(batch.labels[counts], whole.labels[counts])


def test_every_weight_that_is_trained_gets_a_gradient_though_all_texts_are_hidden() -> None:
    step = tiny(melody=True).step()
    step(collate(examples(tiny(melody=True), heard=(False, False)), CODEBOOK_SIZE)).sum().backward()
    assert [name for name, parameter in step.named_parameters() if parameter.grad is None] == []


def test_weights_have_the_names_of_the_whole_model() -> None:
    for model in (tiny(), tiny(melody=True), with_text_width(tiny(), 24)):
        whole = model.complete.state_dict()
        assert all(torch.equal(value, whole[name]) for name, value in model.step().state_dict().items())
