"""Charts of a training run, from its curve file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from markupsafe import Markup

from mtj_trainer.report.charts import Series, line_chart

PART = "loss_"
"""Begins the names of what a loss is made of."""


def read_rows(text: bytes) -> list[dict[str, Any]]:
    """The rows of ``metrics.jsonl``."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def curves(rows: list[dict[str, Any]], unit: str, *, one_scale: bool = True) -> list[Markup]:
    """Loss and its parts, learning rate, throughput and gradient norm over steps, each where it was logged.

    Args:
        unit: of the validation loss.
        one_scale: whether the training loss is in the same unit.
    """
    training = _series(rows, "loss", "training", "muted" if one_scale else "accent")
    validation = _series(rows, "validation_loss", "validation")
    losses = [line_chart([training, validation], title=f"Loss, {unit}", x_label="step")]
    if not one_scale:
        losses = [
            line_chart([validation], title=f"Validation, {unit}", x_label="step"),
            line_chart([training], title="Training loss, weighted", x_label="step"),
        ]
    parts = dict.fromkeys(name for row in rows for name in row if name.startswith(PART))
    charts = [
        *losses,
        *(
            line_chart([_series(rows, name, "training")], title=_words(name.removeprefix(PART)), x_label="step")
            for name in parts
        ),
        line_chart(
            [_series(rows, "learning_rate", "learning rate")], title="Learning rate", x_label="step", from_zero=True
        ),
        line_chart(
            [_series(rows, "tokens_per_second", "throughput")],
            title="Throughput, tokens a second",
            x_label="step",
            from_zero=True,
        ),
        line_chart(
            [_series(rows, "gradient_norm", "gradient norm")], title="Gradient norm", x_label="step", from_zero=True
        ),
    ]
    return [chart for chart in charts if chart]


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _series(rows: list[dict[str, Any]], field: str, name: str, style: str = "accent") -> Series:
    points = [(row["step"], row[field]) for row in rows if np.isfinite(row.get(field, np.nan))]
    steps, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return Series(name, steps, values, style)
