"""When alerts fire and when they do not, by Prometheus' own tool; and that each says what to do."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.monitoring import RULES, alerts

ROOT = Path(__file__).parents[2]
TESTS = sorted((Path(__file__).parent / "alerts").glob("*.test.yaml"))
ALERTS = [alert for rules in RULES for alert in alerts(rules)]
by_alert = pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rules", RULES, ids=[rules.stem for rules in RULES])
def test_prometheus_reads_the_rules(rules: Path) -> None:
    promtool("check", "rules", str(rules))


@pytest.mark.parametrize("tests", TESTS, ids=[tests.name for tests in TESTS])
def test_alerts_fire_when_they_should(tests: Path) -> None:
    promtool("test", "rules", str(tests))


def expectations(name: str) -> set[bool]:
    """Whether there is a test in which an alert fires, and one in which it does not."""
    cases = [case for tests in TESTS for case in yaml.safe_load(tests.read_text(encoding="utf-8"))["tests"]]
    return {bool(one["exp_alerts"]) for case in cases for one in case["alert_rule_test"] if one["alertname"] == name}


@by_alert
def test_every_alert_is_tried_both_ways(alert: dict[str, Any]) -> None:
    assert expectations(alert["alert"]) == {True, False}


@by_alert
def test_every_alert_says_what_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert {"summary", "description", "runbook_url"} == alert["annotations"].keys()
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    headings = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert anchor in [heading.lstrip("# ").lower().replace(" ", "-") for heading in headings]
