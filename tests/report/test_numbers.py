"""Numbers on axes and in tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtj_trainer.report.numbers import duration, short, tick_text, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 6.0, [0, 2, 4, 6]),
        (0.0, 1e-3, [0.0, 0.0005, 0.001]),
        (97.0, 120.0, [90, 100, 110, 120]),
        (5.0, 5.0, [4, 6, 8, 10]),
        (0.0, 0.0, [0, 0.5, 1.0]),
    ],
)
def test_ticks_are_round_and_cover_the_data(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 3) == pytest.approx(expected)


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6), about=st.integers(2, 30))
def test_ticks_cover_with_about_as_many_as_asked(low: float, span: float, about: int) -> None:
    found = ticks(low, low + span, about)
    step = found[1] - found[0]
    assert found[0] <= low + step * 1e-6
    assert found[-1] >= low + span - step * 1e-6
    assert 2 <= len(found) <= about + 3
    texts = [tick_text(value, step) for value in found]
    assert len(set(texts)) == len(texts) or abs(low) > 1e3 * step, "neighbours must not read the same"


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0.0, 5, "0"),
        (2.0, 1, "2"),
        (0.5, 0.05, "0.50"),
        (20_000, 5_000, "20k"),
        (1_200, 200, "1.2k"),
        (2e-5, 1e-5, "2e-05"),
        (3e6, 1e6, "3M"),
    ],
)
def test_tick_text(value: float, step: float, text: str) -> None:
    assert tick_text(value, step) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3.0, "3"),
        (1.2345, "1.23"),
        (0.04561, "0.0456"),
        (12345.6, "12,346"),
        (-0.3333, "-0.333"),
        (2e-6, "2.0e-06"),
    ],
)
def test_short(value: float, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (3.21, "3.2 s"), (60, "1 min"), (245, "4 min 5 s"), (7800, "2 h 10 min"), (36_000, "10 h")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
