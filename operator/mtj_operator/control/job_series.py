"""What Prometheus is told of each MusicTrainingJob: its state, when it ended, and how often it was started again.

Invariant: bounded by the number of jobs. A job is told of from the first decision about it until it is gone, by the
replica that acts alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mtj_api.status import JobState, JobStatus
from mtj_operator.control.snapshots import Key
from mtj_operator.plan.story.clock import seconds_of


@dataclass(frozen=True, slots=True)
class _Job:
    state: JobState
    ended: float | None
    retries: int
    disruptions: int


class JobSeries(Collector):
    """The jobs that were decided about. Their labels ``namespace`` and ``job`` are to win over those of the scrape."""

    def __init__(self) -> None:
        self._jobs: dict[Key, _Job] = {}

    def note(self, key: Key, status: JobStatus) -> None:
        """Take up what was decided."""
        self._jobs[key] = _Job(
            status.state,
            seconds_of(status.completion_time),
            sum(row.retries for row in status.stages),
            sum(row.disruptions for row in status.stages),
        )

    def forget(self, key: Key) -> None:
        """A job is gone."""
        self._jobs.pop(key, None)

    def collect(self) -> Iterator[Metric]:
        """All series, made when they are scraped."""
        jobs = GaugeMetricFamily("mtj_operator_jobs", "MusicTrainingJobs by state.", labels=("state",))
        tally = Counter(job.state for job in self._jobs.values())
        for state in get_args(JobState):
            jobs.add_metric((state,), tally[state])
        yield jobs
        states = GaugeMetricFamily("mtj_job_state", "1 for the state of a job.", labels=("namespace", "job", "state"))
        ended = self._family("mtj_job_completion_timestamp_seconds", "When a job succeeded or failed.")
        retries = self._family("mtj_job_retries", "Failures of a job's stages that were forgiven so far.")
        disruptions = self._family("mtj_job_disruptions", "Lost nodes, preemptions and evictions of a job so far.")
        for key, job in self._jobs.items():
            names = (key.namespace, key.name)
            states.add_metric((*names, job.state), 1)
            retries.add_metric(names, job.retries)
            disruptions.add_metric(names, job.disruptions)
            if job.ended is not None:
                ended.add_metric(names, job.ended)
        yield from (states, ended, retries, disruptions)

    def _family(self, name: str, documentation: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, documentation, labels=("namespace", "job"))
