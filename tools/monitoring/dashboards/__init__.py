"""Grafana's dashboards of the project: one module each, written as JSON into the chart by ``python -m dashboards``.

Made with Grafana's own builders, so that what they write is what Grafana reads.
"""
