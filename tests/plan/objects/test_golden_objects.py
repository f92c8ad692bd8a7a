"""What a stage of a job comes to on a cluster: golden files, of which a change is read as a change of what runs.

A new case is a folder in ``tests/plan/data`` with ``job.yaml`` and ``cluster.yaml`` (``support/cluster_plans.py``).
To make the golden files anew after a change that is meant: ``MTJ_WRITE_GOLDEN=1 pytest tests/plan``.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import yaml

from support.cluster_plans import CASES, Case


class Dumper(yaml.SafeDumper):
    """YAML that is read: lines of a text as lines, lists indented, and each object written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, _text)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_the_objects_of_a_job_are_the_golden_ones(case: Case) -> None:
    shown = [one for one in case.objects(*case.stages) if one["kind"] != "ConfigMap" or case.config_map]
    found = yaml.dump_all(shown, Dumper=Dumper, sort_keys=False, width=120)
    golden = case.folder / "objects.yaml"
    if os.environ.get("MTJ_WRITE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_the_same_job_makes_the_same_objects(case: Case) -> None:
    names = tuple(stage.name for stage in case.plan.stages)
    assert yaml.safe_dump_all(case.objects(*names)) == yaml.safe_dump_all(case.objects(*names))
