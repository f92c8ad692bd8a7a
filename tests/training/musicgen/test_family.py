"""The plug into the training loop: crops that follow from their positions, and codes that count once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtj_api import JobError, MusicTrainingJob
from mtj_api.resolve import resolved_job
from mtj_trainer.families.musicgen.captions import caption
from mtj_trainer.families.musicgen.family import MusicGenFamily
from mtj_trainer.families.musicgen.weights import save_model
from mtj_trainer.storage import open_storage
from support.musicgen import CODEBOOK_SIZE, CODEBOOKS, encodec, tiny
from support.musicgen_codes import Info, MemoryCodes

LENGTHS = (40, 70, 32, 10, 96, 33, 50, 20)
"""Frames of segments with a context of 32; the last two are for validation."""

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def codec_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("codec")
    encodec().save_pretrained(folder)
    return str(folder)


def job(codec_url: str, **model: Any) -> MusicTrainingJob:
    started = "pretrained" in model
    source = {} if started else {"codec": {"url": codec_url}, "architecture": ARCHITECTURE}
    document = {
        "apiVersion": "training.discomusica.io/v1alpha1",
        "kind": "MusicTrainingJob",
        "metadata": {"name": "chorales"},
        "spec": {
            "dataset": {"source": "/music"},
            "model": {"family": "musicgen", **source, **model},
            "training": {"steps": 10, "regularization": {"dropout": 0.0}},
            "output": "/out",
        },
    }
    return resolved_job(MusicTrainingJob.model_validate(document))


ARCHITECTURE = {"layers": 2, "width": 32, "heads": 2, "context": 32}


def family(codec_url: str, lengths: tuple[int, ...] = LENGTHS, **model: Any) -> MusicGenFamily:
    return MusicGenFamily(job(codec_url, **model), MemoryCodes(lengths, codec_url))  # type: ignore[arg-type]


@pytest.mark.parametrize("conditioning", [["text"], ["text", "melody"]])
def test_a_batch_follows_from_its_positions(codec_url: str, conditioning: list[str]) -> None:
    one, other = (family(codec_url, conditioning=conditioning) for _ in range(2))
    assert one.examples == 2 + 3 + 1 + 1 + 3 + 2
    for positions in ([0, 5, 30], [30]):
        found, again = one.batch(positions), other.batch(positions)
        for name, value in vars(found).items():
            assert torch.equal(value, getattr(again, name)) if isinstance(value, torch.Tensor) else True
    other.batch([7])
    assert torch.equal(one.batch([3, 4]).labels, other.batch([3, 4]).labels)
    assert not torch.equal(one.batch([0]).inputs, one.batch([one.examples]).inputs)


def test_an_epoch_has_a_crop_of_each_part_of_each_segment(codec_url: str) -> None:
    made = family(codec_url)
    frames = Counter(made.batch([position]).counted // CODEBOOKS for position in range(made.examples))
    assert frames == {32: 11, 10: 1}


def test_validation_counts_each_code_once_whoever_shares_it(codec_url: str) -> None:
    made = family(codec_url)
    whole = sum(batch.counted for batch in made.validation(0, 1))
    assert whole == CODEBOOKS * (50 + 20)
    assert sum(batch.counted for rank in range(3) for batch in made.validation(rank, 3)) == whole


@pytest.mark.parametrize(("dropout", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_conditions_are_hidden_as_often_as_asked_for(codec_url: str, dropout: float, share: float) -> None:
    made = family(codec_url, conditioning=["text", "melody"], conditionDropout=dropout)
    batch = made.batch(range(240))
    assert (~batch.heard).float().mean() == pytest.approx(share, abs=0.1)
    assert batch.melody is not None
    silent = (batch.melody.argmax(dim=2) == 0).all(dim=1)
    assert silent[~batch.heard].all()
    assert all(batch.heard.all() for batch in made.validation(0, 1))


def test_the_loss_has_a_term_a_codebook_and_their_mean_is_the_loss(codec_url: str) -> None:
    made = family(codec_url)
    model, batch = made.model(CPU), made.batch([0, 1])
    loss = made.loss(model, batch)
    assert list(loss.terms) == [f"codebook_{k}" for k in range(1, CODEBOOKS + 1)]
    torch.testing.assert_close(torch.stack(list(loss.terms.values())).mean(), loss.total.detach())
    for term in loss.terms.values():
        assert (term / batch.counted).item() == pytest.approx(np.log(CODEBOOK_SIZE), rel=0.1)
    assert made.judge(model.eval(), batch).item() == pytest.approx(loss.total.item(), rel=1e-5)


def test_the_same_seed_makes_the_same_model(codec_url: str) -> None:
    made = family(codec_url)
    first = {name: value.clone() for name, value in made.model(CPU).state_dict().items()}
    second = made.model(CPU).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_what_is_saved_is_a_whole_model_and_can_be_started_from(codec_url: str, tmp_path: Path) -> None:
    made = family(codec_url)
    weights = {name: value + 0.01 for name, value in made.model(CPU).state_dict().items()}
    made.save(open_storage(str(tmp_path)), weights)
    started = family(codec_url, pretrained=str(tmp_path))
    model = started.model(CPU)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert not any(name.startswith("text_encoder") for name in model.state_dict())
    batch = started.batch([0, 1])
    assert batch.text.is_floating_point()
    torch.testing.assert_close(
        made.judge(_with(made, weights), made.batch([0, 1])), started.judge(model.eval(), batch), rtol=1e-4, atol=1e-3
    )


def _with(made: MusicGenFamily, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    model = made.model(CPU).eval()
    model.load_state_dict(weights)
    return model


def test_states_that_were_prepared_are_taken(codec_url: str, tmp_path: Path) -> None:
    save_model(open_storage(str(tmp_path)), tiny())
    codes = MemoryCodes(LENGTHS, codec_url)
    states = {caption(track): np.ones((3, 32), dtype=np.float32) for track in codes.dataset.tracks.values()}
    prepared = MemoryCodes(LENGTHS, codec_url, states)
    made = MusicGenFamily(job(codec_url, pretrained=str(tmp_path)), prepared)  # type: ignore[arg-type]
    assert torch.equal(made.batch([0]).text, torch.ones(1, 3, 32))


@pytest.mark.parametrize(
    ("codes", "model", "refused"),
    [
        (MemoryCodes((10, 10)), {}, "holds no recordings"),
        (MemoryCodes(LENGTHS, info=Info(codebooks=8)), {}, "4 codebooks of 64 codes, and the data has 8 of 64"),
        (MemoryCodes(LENGTHS), {"conditioning": ["text", "melody"]}, "listens to no melody"),
    ],
)
def test_data_that_does_not_fit_is_refused(
    codes: MemoryCodes, model: dict[str, Any], refused: str, tmp_path: Path
) -> None:
    save_model(open_storage(str(tmp_path)), tiny())
    with pytest.raises(JobError, match=refused):
        MusicGenFamily(job("", pretrained=str(tmp_path), **model), codes)  # type: ignore[arg-type]


def test_training_learns_the_music_and_to_heed_the_text(codec_url: str) -> None:
    """A piece's codes are of a quarter of the codebook, which its caption names."""
    made = family(codec_url, (4,) * 130)
    model = made.model(CPU)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(50):
        batch = made.batch(range(32 * step, 32 * step + 32))
        torch.autograd.backward(made.loss(model, batch).total / batch.counted)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    batch = next(made.validation(0, 1))
    told = {
        "right": batch,
        "wrong": replace(batch, text=batch.text.flip(0)),
        "nothing": replace(batch, heard=~batch.heard),
    }
    with torch.no_grad():
        nats = {name: float(made.judge(model, said)) / batch.counted for name, said in told.items()}
    assert nats["right"] < np.log(CODEBOOK_SIZE) - 1.5
    assert nats["nothing"] > nats["right"] + 0.1
    assert nats["wrong"] > nats["right"] + 0.3


def test_audiogen_is_the_same_family(codec_url: str) -> None:
    assert family(codec_url, family="audiogen").batch([0]).melody is None
