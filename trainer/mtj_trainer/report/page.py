"""The page itself: one HTML file that asks nothing of any other, by its own content security policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from mtj_trainer.report.comparisons import Comparison
from mtj_trainer.report.data import DataPart
from mtj_trainer.report.figures import Figures, Row, others, table
from mtj_trainer.report.numbers import short
from mtj_trainer.report.players import Player
from mtj_trainer.report.summary import contest_bars, tiles, verdict


@dataclass(frozen=True)
class Page:
    """What the page is made of.

    Attributes:
        name: of the job.
        figures: all of them.
        samples: compositions of the model.
        comparisons: its recordings, beside what they are to be heard with.
        curves: charts of the training run.
        prepared: excerpts of the prepared music.
        job: the resolved job as YAML.
    """

    name: str
    figures: Figures
    samples: list[Player]
    curves: list[Markup]
    data: DataPart
    prepared: list[Player]
    job: str
    comparisons: list[Comparison] = field(default_factory=list)


def render(page: Page) -> str:
    """The HTML of the page."""
    headline, sentence = verdict(page.figures)
    columns, rows = table(page.figures)
    return _template().render(
        page=page,
        headline=headline,
        sentence=sentence,
        bars=contest_bars(page.figures),
        tiles=tiles(page.figures),
        columns=columns,
        rows=[_cells(row) for row in rows],
        others=[(name, short(value)) for name, value in others(page.figures).items()],
    )


def _cells(row: Row) -> tuple[str, str, str, list[tuple[str, bool]]]:
    cells = ["" if value is None else short(value) for value in row.values]
    better = "less is better" if row.metric.better == "lower" else "more is better"
    return row.metric.label, row.metric.unit, better, list(zip(cells, row.best, strict=True))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("mtj_trainer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
