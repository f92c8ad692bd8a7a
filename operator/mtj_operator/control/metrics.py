"""The operator's own figures, for Prometheus.

Invariant: what can be read from the state is read when it is scraped; only what happens is counted as it happens. A
counter that an alert is about is there from the start, as Prometheus sees no increase in one that comes up with 1.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from mtj_operator.control.job_series import JobSeries
from mtj_operator.control.rights import JOB, POD, RESOURCE

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """All series, in a registry of their own.

    Attributes:
        jobs: the series of each job.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.jobs = JobSeries()
        self.registry.register(self.jobs)
        self.queue_depth = self._gauge("queue_depth", "Jobs that wait for a look.")
        self.queue_oldest = self._gauge("queue_oldest_seconds", "Age of the oldest mark that is not dealt with.")
        self.queue_wait = self._histogram("queue_wait_seconds", "From the mark of a job to the look at it.")
        self.marks = self._counter("queue_marks", "Marks of jobs that are to be looked at.")
        self.reconcile = self._histogram("reconcile_seconds", "A look at a job, its writes included.")
        self.errors = self._counter("reconcile_errors", "Looks that failed and come again, by kind.", "kind")
        self.calls = self._counter("api_calls", "Calls of the API server.", "verb", "resource", "code")
        self.call_seconds = self._histogram("api_call_seconds", "A call of the API server, retries apart.", "verb")
        self.events = self._counter("events", "Changes told by the API server.", "kind")
        self.last_event = self._gauge("last_event_age_seconds", "Since the API server told anything.")
        self.missed = self._counter("missed_events", "Changes that only the resync found.", "kind")
        self.polls = self._counter("progress_polls", "Looks at a training's progress.", "result")
        for kind in (RESOURCE, JOB, POD):
            self.missed.labels(kind.plural)
        for name in ("Api", "Unreachable", "Refused"):
            self.errors.labels(name)
        self.leader = self._gauge("leader", "1 on the replica that acts, 0 on one that stands by.")

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(f"mtj_operator_{name}", documentation, registry=self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"mtj_operator_{name}", documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, *labels: str) -> Histogram:
        return Histogram(f"mtj_operator_{name}", documentation, labels, registry=self.registry, buckets=_SECONDS)
