"""Charts are well-formed SVG that holds what it should, whatever the data."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup

from mtj_trainer.report.charts import LONGEST, Bar, Series, bar_chart, histogram, line_chart, waveform
from mtj_trainer.report.pianoroll import piano_roll
from support.scores import chorale, score

finite = st.floats(-1e9, 1e9)


def parsed(svg: Markup) -> ElementTree.Element:
    root = ElementTree.fromstring(str(svg))
    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"]
    for element in root.iter():
        for name in ("x", "y", "width", "height", "cx", "cy", "x1", "x2"):
            if name in element.attrib:
                value = float(element.attrib[name])
                assert np.isfinite(value)
                assert -1 <= value <= max(width, height) + 1, (element.tag, element.attrib)
    return root


@given(values=st.lists(finite, min_size=1, max_size=50))
@example(values=[5e-324])
def test_any_line_is_drawn_within_the_frame(values: list[float]) -> None:
    series = Series("line", np.arange(len(values), dtype=np.float64), np.array(values))
    parsed(line_chart([series], title="A & B <c>", x_label="step"))


@given(values=st.lists(st.floats(0, 1e9), min_size=1, max_size=50))
def test_any_values_make_a_histogram_in_which_all_are_counted(values: list[float]) -> None:
    root = parsed(histogram(values, title="lengths", x_label="seconds"))
    assert f"{len(values)} values" in root.attrib["aria-label"]
    assert any("bar" in element.attrib.get("class", "") for element in root.iter())


@given(values=st.lists(st.floats(0, 1e9), min_size=1, max_size=9))
def test_bars_are_as_long_as_their_values(values: list[float]) -> None:
    root = parsed(bar_chart([Bar(f"bar {n}", value) for n, value in enumerate(values)], title="bars"))
    widths = [float(e.attrib["width"]) for e in root.iter() if "bar" in e.attrib.get("class", "")]
    assert len(widths) == len(values)
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(widths)[order]) >= 0)


def test_series_are_named_where_they_end_and_names_do_not_touch() -> None:
    x = np.arange(10, dtype=np.float64)
    lines = [Series("training", x, 10 - x, "muted"), Series("validation", x, 10.1 - x)]
    root = parsed(line_chart(lines, title="Loss", x_label="step"))
    labels = [e for e in root.iter() if "series" in e.attrib.get("class", "")]
    assert [label.text for label in labels] == ["validation", "training"]
    assert float(labels[1].attrib["y"]) - float(labels[0].attrib["y"]) >= 12


def test_a_long_curve_is_thinned() -> None:
    x = np.arange(100_000, dtype=np.float64)
    root = parsed(line_chart([Series("loss", x, np.sqrt(x))], title="Loss", x_label="step"))
    (line,) = [e for e in root.iter() if "line" in e.attrib.get("class", "").split()]
    assert len(line.attrib["points"].split()) == LONGEST


@pytest.mark.parametrize(
    "chart",
    [
        line_chart([], title="t", x_label="x"),
        line_chart([Series("empty", np.empty(0), np.empty(0))], title="t", x_label="x"),
        bar_chart([], title="t"),
        histogram([], title="t", x_label="x"),
    ],
)
def test_no_data_makes_no_chart(chart: Markup) -> None:
    assert chart == ""


def test_names_are_escaped() -> None:
    svg = bar_chart([Bar("<script>alert(1)</script>", 1.0)], title='"&<')
    assert "<script" not in svg
    parsed(svg)


def test_a_waveform_follows_the_sound() -> None:
    audio = np.concatenate([np.zeros((4_000, 2)), np.full((4_000, 2), 0.5)]).astype(np.float32)
    root = parsed(waveform(audio, "sound"))
    (shape,) = [e for e in root.iter() if e.attrib.get("class") == "wave"]
    tops = [float(point.split(",")[1]) for point in shape.attrib["points"].split()]
    assert max(tops) - min(tops) == pytest.approx(45, abs=1)


def test_a_piano_roll_has_a_rectangle_a_note_and_a_colour_a_part() -> None:
    roll = piano_roll(chorale(bars=2), "two bars")
    root = parsed(roll.svg)
    notes = [e for e in root.iter() if e.attrib.get("class", "").startswith("part")]
    assert len(notes) == 2 * 16
    assert len({note.attrib["class"] for note in notes}) == len(roll.parts) == 4
    assert roll.seconds == pytest.approx(8 * 60 / 100, abs=1e-3)


def test_a_piano_roll_marks_what_was_given() -> None:
    root = parsed(piano_roll(chorale(bars=4), "four bars", given_beats=8.0).svg)
    (given,) = [e for e in root.iter() if e.attrib.get("class") == "given"]
    starts = sorted({float(e.attrib["x"]) for e in root.iter() if e.attrib.get("class") == "part0"})
    assert float(given.attrib["x"]) + float(given.attrib["width"]) == pytest.approx(starts[8], abs=0.2)


def test_a_piano_roll_of_silence_is_a_picture_too() -> None:
    roll = piano_roll(score([]), "nothing")
    parsed(roll.svg)
    assert roll.parts == []
