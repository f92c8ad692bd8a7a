"""The dashboards of the chart: generated, complete, and about figures that are documented."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dashboards.__main__ import written
from support.monitoring import DASHBOARDS, panels, queries

REFERENCE = Path(__file__).parents[2] / "docs/reference"
OF_EVERY_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
by_name = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=[one.stem for one in DASHBOARDS])


def test_the_dashboards_are_current() -> None:
    found = {one.name: one.read_text(encoding="utf-8") for one in DASHBOARDS}
    assert found == written(), "run make dashboards"


@by_name
def test_every_panel_says_what_it_shows_and_in_which_unit(dashboard: Path) -> None:
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith((".", ".)")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@by_name
def test_what_a_panel_asks_for_can_be_chosen(dashboard: Path) -> None:
    text = dashboard.read_text(encoding="utf-8")
    names = {variable["name"] for variable in json.loads(text)["templating"]["list"]}
    assert set(re.findall(r"\$\{?(?!__)(\w+)", text)) == names


def test_every_series_is_documented() -> None:
    pages = (REFERENCE / "metrics.md").read_text() + (REFERENCE / "operator.md").read_text()
    documented = set(re.findall(r"`((?:mtj)_\w+)", pages)) | OF_EVERY_PROCESS
    for place, expression in queries():
        named = set(re.findall(r"\b(?:mtj|process)_\w+", expression))
        assert named, place
        assert {name.removesuffix("_bucket") for name in named} <= documented, place
