"""How the dashboards say things: one way to draw a figure now, a course over time, and a comparison of jobs.

Invariant: every panel has a unit and says what it shows and what to make of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

Limits = Mapping[float, str]
"""A colour from each value on; green below the first."""

Lines = Mapping[str, str]
"""Expressions by how the legend names their series, in Grafana's ``{{label}}``."""

RATIO = "percentunit"
SECONDS = "s"
COUNT = "short"
BYTES = "bytes"
WATTS = "watt"
MONEY = "currencyUSD"
PER_SECOND = "cps"

HIGH_IS_GOOD: Limits = {float("-inf"): "red", 0.3: "yellow", 0.6: "green"}


def figure(title: str, description: str, expression: str, unit: str, limits: Limits | None = None) -> stat.Panel:
    """A figure as it is now, over its course."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(_query(expression, "", "A").instant())
        .unit(unit)
        .thresholds(_thresholds(limits or {}))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .height(4)
        .span(4)
    )


def course(
    title: str, description: str, lines: Lines, unit: str, limits: Limits | None = None, *, span: int = 12
) -> timeseries.Panel:
    """Series over time. Limits are drawn as lines."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(_thresholds(limits or {}))
        .line_width(1)
        .fill_opacity(8)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .height(8)
        .span(span)
    )
    if limits:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    if unit == RATIO:
        panel.axis_soft_min(0).axis_soft_max(1)
    for letter, (legend, expression) in zip("ABCDEFGH", lines.items(), strict=False):
        panel.with_target(_query(expression, legend, letter))
    return panel


def bars(title: str, description: str, lines: Lines, unit: str) -> bargauge.Panel:
    """A figure of each of several, side by side."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(_thresholds({}))
        .orientation(VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .height(8)
        .span(12)
    )
    for letter, (legend, expression) in zip("ABCDEFGH", lines.items(), strict=False):
        panel.with_target(_query(expression, legend, letter).instant())
    return panel


Column = tuple[str, str]
"""An expression and the unit of its values."""


def rows(title: str, description: str, columns: Mapping[str, Column], by: Literal["job"] = "job") -> table.Panel:
    """A row for each ``by``, with a column for each expression, whose series have the same labels."""
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(COUNT)
        .filterable(True)
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .height(10)
        .span(24)
    )
    names: dict[str, str] = {}
    for letter, (name, (expression, unit)) in zip("ABCDEFGHIJ", columns.items(), strict=False):
        names[f"Value #{letter}"] = name
        panel.with_target(_query(expression, "", letter).instant().format(PromQueryFormat.TABLE))
        panel.override_by_name(name, [DynamicConfigValue("unit", unit)])
    tidy = {"excludeByName": {"Time": True}, "renameByName": names, "indexByName": {"namespace": 0, by: 1}}
    return panel.with_transformation(DataTransformerConfig(id_val="organize", options=tidy))


def _query(expression: str, legend: str, letter: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter).datasource(SOURCE)


def _thresholds(limits: Limits) -> ThresholdsConfig:
    steps = {float("-inf"): "green", **limits}
    found = [Threshold(None if value == float("-inf") else value, colour) for value, colour in sorted(steps.items())]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)
