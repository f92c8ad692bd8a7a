"""The dashboards and alerts of the chart: what they ask Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts/mtj-operator"
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))
RULES = sorted((CHART / "alerts").glob("*.yaml"))

_COMPARISON = re.compile(r"\s*(?:==|!=|<=|>=|<|>)\s*[0-9.]+")


def panels(dashboard: Path) -> list[dict[str, Any]]:
    """All panels of a dashboard but its headings."""
    found = json.loads(dashboard.read_text(encoding="utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def alerts(rules: Path) -> list[dict[str, Any]]:
    """All alerts of a file of rules."""
    groups = yaml.safe_load(rules.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Every expression, by where it stands. Those of alerts are without their comparisons: what they are about."""
    for dashboard in DASHBOARDS:
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{dashboard.stem}: {panel['title']}, {target['refId']}", target["expr"]
    for rules in RULES:
        for alert in alerts(rules):
            yield f"{rules.stem}: {alert['alert']}", _COMPARISON.sub("", alert["expr"])
