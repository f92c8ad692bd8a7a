"""Figures are merged flat, sorted and finite, and laid out beside their baselines; the verdict says what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mtj_trainer.report.figures import figures_json, merged, others, table
from mtj_trainer.report.summary import contest_bars, tiles, verdict

MEASURED = {
    "heldout.nll": 1.0,
    "heldout.pieces": 20,
    "heldout.accuracy": 0.7,
    "baseline.ngram.nll": 1.5,
    "baseline.ngram.gain.standard_error": 0.1,
    "baseline.ngram.accuracy": 0.6,
    "baseline.untrained.nll": 5.8,
    "baseline.untrained.gain.standard_error": 0.1,
    "pitch_class.distance": 0.2,
    "baseline.ngram.pitch_class.distance": 0.1,
    "floor.pitch_class.distance": 0.05,
    "train.steps": 100,
}


def test_stages_are_merged_sorted_and_finite() -> None:
    records: list[dict[str, Any]] = [
        {"figures": {"b": 1, "a": 2.5}},
        {"figures": {"c": float("nan"), "d": float("inf"), "e": None, "f": "text", "g": True}},
        {},
        {"figures": {"a": 3}},
    ]
    figures = merged(records)
    assert list(figures.items()) == [("a", 3), ("b", 1)]
    assert json.loads(figures_json(figures)) == figures


def test_the_table_puts_baselines_beside_the_model_and_marks_the_best() -> None:
    columns, rows = table(MEASURED)
    assert columns == ["Model", "5-gram", "Untrained", "Training music"]
    by_name = {row.metric.name: row for row in rows}
    assert by_name["heldout.nll"].values == [1.0, 1.5, 5.8, None]
    assert by_name["heldout.nll"].best == [True, False, False, False]
    assert by_name["heldout.accuracy"].best == [True, False, False, False]
    distance = by_name["pitch_class.distance"]
    assert distance.values == [0.2, 0.1, None, 0.05]
    assert distance.best == [False, True, False, False], "real music is no rival"
    assert "train.steps" in others(MEASURED)
    assert "heldout.nll" not in others(MEASURED)


def test_equal_values_have_no_best() -> None:
    _, rows = table({"request.key.match": 0.5, "baseline.ngram.request.key.match": 0.5})
    assert rows[0].best == [False, False]


@pytest.mark.parametrize(
    ("change", "headline"),
    [
        ({}, "Better than both baselines"),
        ({"baseline.pretrained.nll": 1.2}, "Better than every baseline"),
        ({"baseline.ngram.nll": 0.9}, "Not better than the 5-gram"),
        ({"baseline.ngram.nll": 1.1, "baseline.ngram.gain.standard_error": 0.2}, "No clear gain over the 5-gram"),
        (
            {"baseline.ngram.nll": 0.9, "baseline.untrained.nll": 0.8},
            "Not better than the 5-gram or the untrained model",
        ),
        ({"heldout.nll": None}, "Trained, not measured"),
    ],
)
def test_the_verdict_says_what_the_figures_say(change: dict[str, float | None], headline: str) -> None:
    figures = {name: value for name, value in (MEASURED | change).items() if value is not None}
    assert verdict(figures)[0] == headline


def test_the_verdict_gives_the_numbers() -> None:
    _, sentence = verdict(MEASURED)
    assert sentence == (
        "On 20 held-out pieces it needs 1 nats a token, against 1.50 for the 5-gram and 5.80 for the untrained model."
    )


@pytest.mark.parametrize(
    ("figures", "headline", "sentence"),
    [
        ({"prepare.tracks": 1200}, "1,200 tracks are prepared", "Every file that was found could be used."),
        (
            {"prepare.tracks": 3, "prepare.quarantined": 1},
            "3 tracks are prepared",
            "One file was left out; the reasons are below.",
        ),
    ],
)
def test_without_a_model_the_verdict_is_about_the_data(figures: dict[str, float], headline: str, sentence: str) -> None:
    assert verdict(figures) == (headline, sentence)
    assert not contest_bars(figures)
    assert tiles(figures)
