"""The reference says what the code does, and every link leads somewhere."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from mtj_api.contract import ExitCode
from mtj_api.reference import reference
from mtj_trainer.train.checkpoint import Complete, Faults
from mtj_trainer.train.cpu import SHORTEST_SECONDS
from mtj_trainer.train.gpu import SERIES
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.pulse import Phase, Pulse

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
by_name = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_page_of_the_resource_is_current() -> None:
    assert read("docs/reference/job.md") == reference(), "run make reference"


def test_the_page_of_metrics_names_every_series() -> None:
    complete = Complete(1, "s3://music/step-1")
    pulse = Pulse()
    pulse.enter(Phase.COMPUTE, 0)
    of_checkpoints = {"checkpoint": lambda: complete, "faults": Faults, "checkpoint_interval": 1}
    metrics = TrainingMetrics("chorales", 0, 0, 0, pulse=pulse, **of_checkpoints)  # type: ignore[arg-type]
    metrics.observe(
        step=1,
        of=2,
        loss=1.0,
        terms={"stft": 1.0},
        learning_rate=1.0,
        gradient_norm=1.0,
        tokens=1,
        tokens_per_second=1.0,
        data_wait_seconds=1.0,
        eta_seconds=1.0,
    )
    registry: CollectorRegistry = metrics.registry

    time.sleep(SHORTEST_SECONDS)  # before that nothing is told of the processor
    served = {sample.name for family in registry.collect() for sample in family.samples}
    documented = set(re.findall(r"^\| `(mtj_\w+)`", read("docs/reference/metrics.md"), re.MULTILINE))
    assert documented == served | set(SERIES)


def test_the_page_of_exit_status_names_every_one() -> None:
    rows = re.findall(r"^\| (\d+) \| ([a-z ]+) \|", read("docs/reference/exit-codes.md"), re.MULTILINE)
    assert {int(number): name.upper().replace(" ", "_") for number, name in rows} == {
        code.value: code.name for code in ExitCode
    }


@by_name
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            path, _, fragment = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), target
            assert not fragment or fragment in anchors(there), target


@by_name
def test_no_page_is_an_orphan(page: Path) -> None:
    names = [other.read_text(encoding="utf-8") for other in PAGES if other != page]
    assert page.name == "README.md" or any(page.name in text for text in names)
