"""What the dashboards share: where they come from, what is chosen at their top, and how they lead to each other."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    TextBoxVariable,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableRefresh,
    VariableSort,
)

from dashboards.panels import SOURCE

TAG = "music-training"
PRICE = "2.50"
"""Of a GPU-hour in dollars, where nobody says otherwise."""


def page(name: str, title: str, description: str) -> Dashboard:
    """An empty dashboard; ``name`` becomes its address."""
    return (
        Dashboard(title)
        .uid(f"music-training-{name}")
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            DashboardLink("Music training")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )


def chosen(name: str, label: str, query: str, *, several: bool) -> QueryVariable:
    """A choice among values of a label."""
    variable = (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
    return variable.multi(True).include_all(True).all_value(".*") if several else variable


def namespaces() -> QueryVariable:
    """Several namespaces with jobs, or all."""
    return chosen("namespace", "Namespace", "label_values(mtj_job_state, namespace)", several=True)


def price() -> TextBoxVariable:
    """What a GPU-hour costs."""
    return TextBoxVariable("price").label("Price of a GPU-hour in $").default_value(PRICE)
