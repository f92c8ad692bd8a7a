"""One job: how far it is, what it learns, what holds it up, and each of its GPUs."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.page import chosen, page, price
from dashboards.panels import BYTES, COUNT, HIGH_IS_GOOD, MONEY, RATIO, SECONDS, WATTS, course, figure

_JOB = 'namespace="$namespace", job="$job"'
_STEP, _OF = f"max(mtj_train_step{{{_JOB}}})", f"max(mtj_train_steps_planned{{{_JOB}}})"
_GPU_HOURS = f"sum(sum_over_time((mtj_gpu_utilization_ratio{{{_JOB}}} * 0 + 1)[$__range:1m])) / 60"
_GPU = "rank {{rank}}, GPU {{gpu}}"


def job() -> Dashboard:
    """The dashboard."""
    return (
        page(
            "job", "Music training: job", "One MusicTrainingJob: progress, loss, throughput, GPUs and what holds it up."
        )
        .with_variable(chosen("namespace", "Namespace", "label_values(mtj_job_state, namespace)", several=False))
        .with_variable(chosen("job", "Job", 'label_values(mtj_job_state{namespace="$namespace"}, job)', several=False))
        .with_variable(price())
        .with_row(Row("Progress"))
        .with_panel(
            figure("Done", "Optimizer steps done, of all that are planned.", f"{_STEP} / {_OF}", RATIO, {0: "blue"})
        )
        .with_panel(
            figure(
                "Time left",
                "At the pace of the last quarter of an hour, for training alone.",
                f"({_OF} - {_STEP}) / max(deriv(mtj_train_step{{{_JOB}}}[15m]))",
                SECONDS,
                {0: "blue"},
            )
        )
        .with_panel(
            figure(
                "Steps since the last checkpoint",
                "What would be lost if it were interrupted now, in intervals of checkpoint.everySteps.",
                f"({_STEP} - max(mtj_train_checkpoint_step{{{_JOB}}})) / "
                f"max(mtj_train_checkpoint_interval_steps{{{_JOB}}})",
                COUNT,
                {2: "yellow", 3: "red"},
            )
        )
        .with_panel(
            figure(
                "Started again",
                "Failures that were forgiven and disruptions, of all stages, since it began.",
                f"max(mtj_job_retries{{{_JOB}}}) + max(mtj_job_disruptions{{{_JOB}}})",
                COUNT,
                {1: "yellow", 5: "red"},
            )
        )
        .with_panel(figure("GPU-hours", "Of training, in the chosen time.", _GPU_HOURS, COUNT, {0: "blue"}))
        .with_panel(
            figure(
                "Cost",
                "GPU-hours in the chosen time, times the price.",
                f"{_GPU_HOURS} * $price",
                MONEY,
                {0: "blue"},
            )
        )
        .with_panel(
            course(
                "Loss",
                "Training loss, a prediction (a token). It falls fast, then slowly; a jump that stays asks for a lower "
                "learning rate.",
                {"loss": f"max(mtj_train_loss{{{_JOB}}})"},
                "none",
            )
        )
        .with_panel(
            course(
                "Parts of the loss",
                "Of a model whose loss has several, such as a codec's; empty for others.",
                {"{{term}}": f"max by (term) (mtj_train_loss_term{{{_JOB}}})"},
                "none",
            )
        )
        .with_panel(
            course(
                "Steps",
                "Optimizer steps done and complete checkpoints. A flat line is a standstill.",
                {"done": _STEP, "checkpoint": f"max(mtj_train_checkpoint_step{{{_JOB}}})"},
                COUNT,
            )
        )
        .with_panel(
            course(
                "Gradient norm and learning rate",
                "The norm before clipping: growing steadily, it comes before a jump of the loss.",
                {
                    "gradient norm": f"max(mtj_train_gradient_norm{{{_JOB}}})",
                    "learning rate": f"max(mtj_train_learning_rate{{{_JOB}}})",
                },
                "none",
            )
        )
        .with_row(Row("Speed"))
        .with_panel(
            course(
                "Throughput",
                "Tokens a second, of all processes together, since training began or went on.",
                {"tokens a second": f"max(mtj_train_tokens_per_second{{{_JOB}}})"},
                COUNT,
            )
        )
        .with_panel(
            course(
                "Waits for data",
                "Part of the time in which a process waits for data. Above 5 %: more cores, or faster storage.",
                {"rank {{rank}}": f"rate(mtj_train_data_wait_seconds_total{{{_JOB}}}[$__rate_interval])"},
                RATIO,
                {0.05: "yellow", 0.2: "red"},
            )
        )
        .with_panel(
            course(
                "Stands still for checkpoints",
                "Part of the time in which training stands still to save. Above 5 %: a larger checkpoint.everySteps.",
                {"rank {{rank}}": f"rate(mtj_train_checkpoint_seconds_total{{{_JOB}}}[$__rate_interval])"},
                RATIO,
                {0.05: "yellow", 0.2: "red"},
            )
        )
        .with_panel(
            course(
                "Processors",
                "Part of its cores' time that each training process uses.",
                {"rank {{rank}}": f"mtj_cpu_utilization_ratio{{{_JOB}}}"},
                RATIO,
            )
        )
        .with_row(Row("GPUs"))
        .with_panel(
            course(
                "Utilization of each GPU",
                "Part of the time in which it computed. One far below the others waits for something of its own.",
                {_GPU: f"mtj_gpu_utilization_ratio{{{_JOB}}}"},
                RATIO,
                HIGH_IS_GOOD,
            )
        )
        .with_panel(
            course(
                "Memory of each GPU",
                "In use by all processes, and all that there is. Near the top, the next larger batch will not fit.",
                {_GPU: f"mtj_gpu_memory_used_bytes{{{_JOB}}}", "all": f"max(mtj_gpu_memory_total_bytes{{{_JOB}}})"},
                BYTES,
            )
        )
        .with_panel(
            course(
                "Power of each GPU",
                "Drawn, and the most that it may. High utilization at low power and no steps is a hang.",
                {_GPU: f"mtj_gpu_power_watts{{{_JOB}}}", "limit": f"max(mtj_gpu_power_limit_watts{{{_JOB}}})"},
                WATTS,
            )
        )
        .with_panel(
            course(
                "State",
                "1 for the state that the job is in, as the operator has it.",
                {"{{state}}": f"max by (state) (mtj_job_state{{{_JOB}}})"},
                COUNT,
            )
        )
    )
