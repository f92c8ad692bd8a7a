"""The operator: whether it acts, keeps up, and can write what it has to."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.page import page
from dashboards.panels import BYTES, COUNT, PER_SECOND, RATIO, SECONDS, course, figure

_OWN = "and on (instance) mtj_operator_leader"
"""Keeps series of the operator's processes, of those that every Python process has."""

_STATUS = 'verb="patch", resource=~".+/status"'


def operator() -> Dashboard:
    """The dashboard."""
    return (
        page(
            "operator", "Music training: operator", "Whether the operator acts, keeps up, and can write what it has to."
        )
        .with_row(Row("Now"))
        .with_panel(
            figure(
                "Replicas that act",
                "One acts, the others stand by. None: no job is started or told of.",
                "sum(mtj_operator_leader)",
                COUNT,
                {float("-inf"): "red", 1: "green", 2: "red"},
            )
        )
        .with_panel(
            figure(
                "Oldest change",
                "Age of the oldest change of a job that was not dealt with. Above a minute it is behind.",
                "max(mtj_operator_queue_oldest_seconds)",
                SECONDS,
                {10: "yellow", 60: "red"},
            )
        )
        .with_panel(
            figure(
                "Statuses that cannot be written",
                "Part of the writes of statuses that were refused or not answered, in the last five minutes.",
                f'(sum(rate(mtj_operator_api_calls_total{{{_STATUS}, code!~"2xx|404|409"}}[5m])) or '
                f"sum(rate(mtj_operator_api_calls_total{{{_STATUS}}}[5m])) * 0) / "
                f"sum(rate(mtj_operator_api_calls_total{{{_STATUS}}}[5m]))",
                RATIO,
                {0.01: "yellow", 0.1: "red"},
            )
        )
        .with_panel(
            figure(
                "Missed changes",
                "Changes in the last hour that no watch told of and only the resync found. There should be none.",
                "sum(increase(mtj_operator_missed_events_total[1h]))",
                COUNT,
                {1: "red"},
            )
        )
        .with_panel(
            figure(
                "Last event",
                "Since the API server told the replica that acts of any change. Long in a quiet cluster.",
                "min(mtj_operator_last_event_age_seconds)",
                SECONDS,
                {3600: "yellow"},
            )
        )
        .with_panel(
            figure("Jobs", "All that the replica that acts knows.", "sum(mtj_operator_jobs)", COUNT, {0: "blue"})
        )
        .with_row(Row("Work"))
        .with_panel(
            course(
                "From a change to the look at its job",
                "How long a change waits, for half of them and for all but one in a hundred.",
                {
                    "half": _quantile(0.5, "mtj_operator_queue_wait_seconds"),
                    "99 %": _quantile(0.99, "mtj_operator_queue_wait_seconds"),
                },
                SECONDS,
                {10: "yellow", 60: "red"},
            )
        )
        .with_panel(
            course(
                "A look at a job",
                "Deciding and writing, for half of the looks and for all but one in a hundred. Mostly the API server.",
                {
                    "half": _quantile(0.5, "mtj_operator_reconcile_seconds"),
                    "99 %": _quantile(0.99, "mtj_operator_reconcile_seconds"),
                },
                SECONDS,
                {5: "yellow"},
            )
        )
        .with_panel(
            course(
                "Jobs that wait for a look",
                "A burst is worked off within seconds; a line that stays up is a fault.",
                {"waiting": "max(mtj_operator_queue_depth)"},
                COUNT,
                {1000: "yellow"},
            )
        )
        .with_panel(
            course(
                "Looks that failed",
                "They come back later each time. Refused: the message of the job's status says what stands in the way.",
                {"{{kind}}": "sum by (kind) (rate(mtj_operator_reconcile_errors_total[$__rate_interval]))"},
                PER_SECOND,
                {1: "yellow"},
            )
        )
        .with_row(Row("API server"))
        .with_panel(
            course(
                "Calls",
                "By what is done and the answer; 429 is the API server's own limit.",
                {
                    "{{verb}} {{resource}} {{code}}": "sum by (verb, resource, code) "
                    "(rate(mtj_operator_api_calls_total[$__rate_interval]))"
                },
                PER_SECOND,
            )
        )
        .with_panel(
            course(
                "Seconds of a call",
                "For all calls but one in a hundred, by what is done.",
                {
                    "{{verb}}": "histogram_quantile(0.99, sum by (verb, le) "
                    "(rate(mtj_operator_api_call_seconds_bucket[$__rate_interval])))"
                },
                SECONDS,
                {1: "yellow"},
            )
        )
        .with_panel(
            course(
                "Changes told",
                "By the API server, by kind.",
                {"{{kind}}": "sum by (kind) (rate(mtj_operator_events_total[$__rate_interval]))"},
                PER_SECOND,
            )
        )
        .with_panel(
            course(
                "Looks at the progress of trainings",
                "Unreachable for long: a NetworkPolicy keeps the operator from the pods' metrics port.",
                {"{{result}}": "sum by (result) (rate(mtj_operator_progress_polls_total[$__rate_interval]))"},
                PER_SECOND,
            )
        )
        .with_row(Row("Process"))
        .with_panel(
            course(
                "Memory",
                "Of each replica. It grows with the number of jobs, some 30 KiB each.",
                {"{{instance}}": f"process_resident_memory_bytes {_OWN}"},
                BYTES,
            )
        )
        .with_panel(
            course(
                "Processor",
                "Cores that each replica uses. It works on one alone: near 1 it is at its limit.",
                {"{{instance}}": f"rate(process_cpu_seconds_total[$__rate_interval]) {_OWN}"},
                COUNT,
                {0.8: "yellow"},
            )
        )
    )


def _quantile(part: float, histogram: str) -> str:
    return f"histogram_quantile({part}, sum by (le) (rate({histogram}_bucket[$__rate_interval])))"
