"""What a training process tells while it runs: ``/metrics`` for Prometheus and ``/progress`` as JSON.

Invariant: watching never harms training. A scrape reads the figures of one logged step, computed already; a port
that cannot be had costs a line of warning.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from mtj_api.contract import IDLE_BELOW, PROGRESS_PATH, SCRAPE_PATH
from mtj_trainer.train.bad_steps import Kind, StepHistory
from mtj_trainer.train.checkpoint import Complete, Faults
from mtj_trainer.train.cpu import CpuCollector
from mtj_trainer.train.gpu import GpuCollector, visible_device
from mtj_trainer.train.pulse import Pulse

ALL_INTERFACES = ""
"""Prometheus and the operator ask from other machines, some of which have addresses of version 6 alone."""


@dataclass(frozen=True)
class StepFigures:
    """What is known of the latest logged step."""

    step: int
    of: int
    loss: float
    terms: Mapping[str, float]
    learning_rate: float
    gradient_norm: float
    tokens: int
    tokens_per_second: float
    data_wait_seconds: float
    eta_seconds: float


class TrainingMetrics:
    """The figures of one training process, served over HTTP until it is closed.

    Args:
        job: the job's name, a label of every series.
        rank: this process among all, a label of every series.
        local_rank: this process among those of its machine; added to the port, and picks the GPU that is watched.
        port: of the machine's first process; 0 serves nothing.
        processes: how many train together.
        checkpoint: the last complete one; ``None`` where there is none, or another process writes them.
        faults: what went wrong with checkpoints; ``None`` where another process writes them.
        pulse: knows what the process spends its time with.
        checkpoint_interval: optimizer steps between two checkpoints.
        gpu_idle: for how many seconds a GPU has been used less than so many percent; ``None`` where that is not known.
        host: the address to listen on.
    """

    def __init__(
        self,
        job: str,
        rank: int,
        local_rank: int,
        port: int,
        *,
        processes: int = 1,
        checkpoint: Callable[[], Complete | None] = lambda: None,
        faults: Callable[[], Faults | None] = lambda: None,
        pulse: Pulse | None = None,
        checkpoint_interval: int = 0,
        gpu_idle: Callable[[int], float | None] = lambda _: None,
        host: str = ALL_INTERFACES,
    ) -> None:
        self._labels = (job, str(rank))
        self._rank = rank
        self._processes = processes
        self._checkpoint = checkpoint
        self._faults = faults
        self._pulse = pulse or Pulse()
        self._checkpoint_interval = checkpoint_interval
        self._gpu_idle = gpu_idle
        self._begun = (0, 0)
        self._latest: StepFigures | None = None
        self._checkpoint_seconds = 0.0
        self._bad_steps = dict.fromkeys(Kind, 0)
        self._rollbacks = 0
        self._gpu = GpuCollector(job, rank, visible_device(local_rank))
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(_Figures(self))
        self.registry.register(self._gpu)
        self.registry.register(CpuCollector(job, rank))
        self._server = _serve(self, host, port + local_rank) if port else None

    def begin(self, step: int, of: int) -> None:
        """Training begins, or goes on, after ``step`` of so many steps."""
        self._begun = step, of

    def observe(
        self,
        *,
        step: int,
        of: int,
        loss: float,
        terms: Mapping[str, float],
        learning_rate: float,
        gradient_norm: float,
        tokens: int,
        tokens_per_second: float,
        data_wait_seconds: float,
        eta_seconds: float,
    ) -> None:
        """Take up a logged step; tokens and seconds are totals since the run began, resumptions included."""
        self._latest = StepFigures(
            step,
            of,
            loss,
            terms,
            learning_rate,
            gradient_norm,
            tokens,
            tokens_per_second,
            data_wait_seconds,
            eta_seconds,
        )

    def observe_history(self, history: StepHistory) -> None:
        """Take up how many steps were bad, and how often training went back; totals since the run began."""
        self._bad_steps = {Kind.NOT_FINITE: history.not_finite, Kind.SPIKE: history.spikes}
        self._rollbacks = history.rollbacks

    def observe_checkpoint(self, seconds: float) -> None:
        """Training has just stood still for so long for a checkpoint."""
        self._checkpoint_seconds += seconds

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self._gpu.close()

    def progress(self, idle_below: int | None = None) -> dict[str, object]:
        """What ``/progress`` answers; the figures of a step are ``None`` before the first that is logged.

        Args:
            idle_below: in percent of the time; whoever names it is told for how long a GPU has been used less.
        """
        figures = self._latest
        checkpoint = self._checkpoint()
        step, of = (figures.step, figures.of) if figures else self._begun
        return {
            "stage": "train",
            "rank": self._rank,
            "processes": self._processes,
            "step": step,
            "of": of,
            "loss": figures.loss if figures else None,
            "learning_rate": figures.learning_rate if figures else None,
            "tokens_per_second": figures.tokens_per_second if figures else None,
            "eta_seconds": figures.eta_seconds if figures else None,
            "checkpoint": asdict(checkpoint) if checkpoint else None,
            "gpu_idle": self._idle(idle_below) if idle_below is not None else None,
        }

    def _idle(self, below: int) -> dict[str, float] | None:
        seconds = self._gpu_idle(below)
        return None if seconds is None else {"below": below, "seconds": round(seconds, 1)}

    def collect(self) -> Iterator[Metric]:
        """Every series of this process but those of its processor and GPU."""
        yield self._phases()
        yield self._counter("mtj_train_checkpoint_seconds", "Training stood still for.", self._checkpoint_seconds)
        bad_steps = CounterMetricFamily("mtj_train_bad_steps", "Steps left out.", labels=("job", "rank", "kind"))
        for kind, count in self._bad_steps.items():
            bad_steps.add_metric((*self._labels, kind.value), count)
        yield bad_steps
        yield self._counter("mtj_train_rollbacks", "Returns to a checkpoint.", self._rollbacks)
        checkpoint = self._checkpoint()
        if checkpoint is not None:
            yield self._gauge("mtj_train_checkpoint_step", "Step of the last complete checkpoint.", checkpoint.step)
        faults = self._faults()
        if faults is not None:
            yield self._counter("mtj_train_checkpoint_failures", "Tries to write one that failed.", faults.failed)
            yield self._counter("mtj_train_checkpoints_damaged", "Passed over in reading.", faults.damaged)
        if self._checkpoint_interval:
            interval = "Optimizer steps between two checkpoints."
            yield self._gauge("mtj_train_checkpoint_interval_steps", interval, self._checkpoint_interval)
        figures = self._latest
        step, of = (figures.step, figures.of) if figures else self._begun
        if of:
            yield self._gauge("mtj_train_step", "Optimizer steps done.", step)
            yield self._gauge("mtj_train_steps_planned", "Optimizer steps in all.", of)
        if figures is None:
            return
        yield self._gauge("mtj_train_loss", "Training loss, a prediction.", figures.loss)
        if figures.terms:
            yield self._terms(figures.terms)
        yield self._gauge("mtj_train_learning_rate", "Learning rate.", figures.learning_rate)
        yield self._gauge("mtj_train_gradient_norm", "Norm before clipping.", figures.gradient_norm)
        yield self._gauge("mtj_train_tokens_per_second", "Of all processes together.", figures.tokens_per_second)
        yield self._counter("mtj_train_tokens", "Tokens trained on, of all processes together.", figures.tokens)
        yield self._counter("mtj_train_data_wait_seconds", "Waited for data.", figures.data_wait_seconds)

    def _gauge(self, name: str, documentation: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, documentation, labels=("job", "rank"))
        family.add_metric(self._labels, value)
        return family

    def _terms(self, terms: Mapping[str, float]) -> Metric:
        family = GaugeMetricFamily(
            "mtj_train_loss_term", "What the training loss is made of.", labels=("job", "rank", "term")
        )
        for name, value in terms.items():
            family.add_metric((*self._labels, name), value)
        return family

    def _phases(self) -> Metric:
        family = CounterMetricFamily(
            "mtj_train_phase_seconds", "Spent in phases that are over.", labels=("job", "rank", "phase")
        )
        for phase, seconds in self._pulse.seconds.items():
            family.add_metric((*self._labels, phase.value), seconds)
        return family

    def _counter(self, name: str, documentation: str, value: float) -> Metric:
        family = CounterMetricFamily(name, documentation, labels=("job", "rank"))
        family.add_metric(self._labels, value)
        return family


class _Figures(Collector):
    def __init__(self, metrics: TrainingMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    metrics: TrainingMetrics

    def __init__(self, host: str, port: int) -> None:
        if host == ALL_INTERFACES and socket.has_dualstack_ipv6():
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news either; anything else is a fault to be seen."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    """Seconds after which a client that says nothing is let go."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == SCRAPE_PATH:
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, content_type, encode(self.server.metrics.registry))
        elif path == PROGRESS_PATH:
            told = self.server.metrics.progress(_idle_below(self.path))
            self._answer(HTTPStatus.OK, "application/json", json.dumps(told).encode())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", f"try {SCRAPE_PATH} or {PROGRESS_PATH}\n".encode())

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing: a scrape every few seconds is no news."""


def _idle_below(path: str) -> int | None:
    """The percentage that a request asks about; ``None`` where it asks about none that is one."""
    (asked, *_) = parse_qs(urlsplit(path).query).get(IDLE_BELOW, [""])
    return int(asked) if asked.isdecimal() and 1 <= int(asked) <= 100 else None


def _serve(metrics: TrainingMetrics, host: str, port: int) -> _Server | None:
    try:
        server = _Server(host, port)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        print(f"warning: no metrics, since port {port} cannot be had ({reason})", file=sys.stderr, flush=True)
        return None
    server.metrics = metrics
    threading.Thread(target=server.serve_forever, args=(0.05,), name="metrics", daemon=True).start()
    return server
