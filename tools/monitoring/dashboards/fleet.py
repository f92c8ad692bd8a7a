"""All jobs: what runs, what fails, which GPUs are used and what they cost."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.page import namespaces, page, price
from dashboards.panels import COUNT, HIGH_IS_GOOD, MONEY, RATIO, bars, course, figure, rows

_JOBS = 'namespace=~"$namespace"'
_GPU_HOURS = (
    f"sum by (namespace, job) (sum_over_time((mtj_gpu_utilization_ratio{{{_JOBS}}} * 0 + 1)[$__range:1m])) / 60"
)


def fleet() -> Dashboard:
    """The dashboard."""
    return (
        page("fleet", "Music training: fleet", "All MusicTrainingJobs: states, GPUs and their use, restarts and cost.")
        .with_variable(namespaces())
        .with_variable(price())
        .with_row(Row("Now"))
        .with_panel(
            figure(
                "Running jobs",
                "Jobs with pods that work. The operator counts them.",
                f'sum(mtj_job_state{{{_JOBS}, state="Running"}}) or vector(0)',
                COUNT,
            )
        )
        .with_panel(
            figure(
                "Waiting jobs",
                "Jobs that wait for room, a queue, an image or another job: the message of their status says which.",
                f'sum(mtj_job_state{{{_JOBS}, state=~"Pending|Queued"}}) or vector(0)',
                COUNT,
                {1: "yellow"},
            )
        )
        .with_panel(
            figure(
                "Failed jobs",
                "Jobs that failed for good and are still there. Their status says why.",
                f'sum(mtj_job_state{{{_JOBS}, state="Failed"}}) or vector(0)',
                COUNT,
                {1: "red"},
            )
        )
        .with_panel(
            figure(
                "GPUs that train",
                "GPUs held by training processes, as these tell themselves.",
                f"count(mtj_gpu_utilization_ratio{{{_JOBS}}})",
                COUNT,
            )
        )
        .with_panel(
            figure(
                "Use of the GPUs",
                "Mean utilization of the GPUs that train. Below 60 % more data workers or larger batches may help.",
                f"avg(mtj_gpu_utilization_ratio{{{_JOBS}}})",
                RATIO,
                HIGH_IS_GOOD,
            )
        )
        .with_panel(
            figure(
                "Cost",
                "GPU-hours of training in the chosen time, times the price of one.",
                f"sum({_GPU_HOURS}) * $price",
                MONEY,
            )
        )
        .with_row(Row("Jobs"))
        .with_panel(
            rows(
                "Jobs that train",
                "A row for each job whose training processes are scraped.",
                {
                    "Done": (_by_job(f"mtj_train_step{{{_JOBS}}} / mtj_train_steps_planned"), RATIO),
                    "Loss": (_by_job(f"mtj_train_loss{{{_JOBS}}}"), "none"),
                    "Tokens a second": (_by_job(f"mtj_train_tokens_per_second{{{_JOBS}}}"), COUNT),
                    "GPUs": (f"count by (namespace, job) (mtj_gpu_utilization_ratio{{{_JOBS}}})", COUNT),
                    "GPU use": (f"avg by (namespace, job) (mtj_gpu_utilization_ratio{{{_JOBS}}})", RATIO),
                    "Waits for data": (
                        _by_job(f"rate(mtj_train_data_wait_seconds_total{{{_JOBS}}}[$__rate_interval])"),
                        RATIO,
                    ),
                    "GPU-hours": (_GPU_HOURS, COUNT),
                },
            )
        )
        .with_panel(
            course(
                "Jobs by state",
                "All jobs that are there. Many that wait for long ask for more GPUs or smaller jobs.",
                {"{{state}}": f"sum by (state) (mtj_job_state{{{_JOBS}}})"},
                COUNT,
            )
        )
        .with_panel(
            course(
                "Use of the GPUs by job",
                "Mean utilization of each job's GPUs. A job below the line for long is worth a look: data, batch size.",
                {"{{namespace}}/{{job}}": f"avg by (namespace, job) (mtj_gpu_utilization_ratio{{{_JOBS}}})"},
                RATIO,
                {float("-inf"): "red", 0.1: "green"},
            )
        )
        .with_panel(
            bars(
                "GPU-hours by job",
                "GPU-hours of training in the chosen time: minutes in which a training process told of a GPU.",
                {"{{namespace}}/{{job}}": _GPU_HOURS},
                COUNT,
            )
        )
        .with_panel(
            course(
                "Started again",
                "Failures that were forgiven and disruptions (lost nodes, preemptions) of each job, since it began.",
                {
                    "{{namespace}}/{{job}} failed": _by_job(f"mtj_job_retries{{{_JOBS}}}"),
                    "{{namespace}}/{{job}} disrupted": _by_job(f"mtj_job_disruptions{{{_JOBS}}}"),
                },
                COUNT,
            )
        )
    )


def _by_job(expression: str) -> str:
    """Of figures that all processes of a job tell alike, or the worst of them."""
    return f"max by (namespace, job) ({expression})"
