"""The status: bounded whatever is put into it, and explained field by field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from mtj_api import walk
from mtj_api.status import (
    FIGURES,
    PLACE_LENGTH,
    SENTENCE_LENGTH,
    JobState,
    JobStatus,
    OutputStatus,
    Progress,
    StageState,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/status.md").read_text(encoding="utf-8")
STORY = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "operator/mtj_operator/plan/story").glob("*.py"))


def explained(heading: str) -> set[str]:
    """The names in the first column of the tables below a heading."""
    section = PAGE.partition(heading)[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_field_is_explained() -> None:
    names = {field.path[-1] for field in walk.fields_of(JobStatus)}
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_every_state_is_explained() -> None:
    assert explained("## State\n") == set(get_args(JobState))
    assert {state for state in get_args(StageState) if f"`{state}`" not in PAGE} == set()


def test_every_condition_reason_and_event_is_one_that_the_operator_gives() -> None:
    events = set(re.findall(r"`(\w+)`", PAGE.partition("## Events\n")[2]))
    given = set(re.findall(r'"([A-Z]\w+)"', STORY))
    assert explained("## Conditions\n") <= given
    assert events <= given


@pytest.mark.parametrize(
    ("status", "field", "written"),
    [
        (JobStatus(message="x" * 9999), ("message",), "x" * SENTENCE_LENGTH),
        (JobStatus(output=OutputStatus(model="m" * 9999)), ("output", "model"), "m" * PLACE_LENGTH),
        (JobStatus(evaluation={"a": float("nan"), "b": 1.0}), ("evaluation",), {"b": 1.0}),
        (JobStatus(progress=Progress(loss=float("inf"))), ("progress", "loss"), None),
        (JobStatus(progress=Progress(loss=0.52341)), ("progress", "loss"), 0.5234),
    ],
)
def test_what_is_written_keeps_to_the_bounds_of_the_resource(
    status: JobStatus, field: tuple[str, ...], written: Any
) -> None:
    found: Any = status.model_dump(mode="json", by_alias=True)
    for name in field:
        found = found[name]
    assert found == written


def test_no_more_figures_than_there_is_room_for() -> None:
    figures = {str(number): float(number) for number in range(2 * FIGURES)}
    assert len(JobStatus(evaluation=figures).model_dump()["evaluation"]) == FIGURES
