"""Charts of a training run, from its curve file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from markupsafe import Markup

from mtj_trainer.report.charts import Series, line_chart


def read_rows(text: bytes) -> list[dict[str, Any]]:
    """The rows of ``metrics.jsonl``."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def curves(rows: list[dict[str, Any]]) -> list[Markup]:
    """Loss, learning rate, throughput and gradient norm over steps, each where it was logged."""
    charts = [
        line_chart(
            [_series(rows, "loss", "training", "muted"), _series(rows, "validation_loss", "validation", "accent")],
            title="Loss, nats a token",
            x_label="step",
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


def _series(rows: list[dict[str, Any]], field: str, name: str, style: str = "accent") -> Series:
    points = [(row["step"], row[field]) for row in rows if np.isfinite(row.get(field, np.nan))]
    steps, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return Series(name, steps, values, style)
