"""What Prometheus, and whoever asks for progress, gets from a training process."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mtj_trainer.train.bad_steps import StepHistory
from mtj_trainer.train.checkpoint import Complete, Faults
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.pulse import Phase, Pulse
from support.ports import free_neighbours

LABELS = {"job": "chorales", "rank": "3"}


@pytest.fixture
def port() -> int:
    return free_neighbours()


@pytest.fixture
def metrics(port: int) -> Iterator[TrainingMetrics]:
    metrics = TrainingMetrics("chorales", 3, 0, port, host="127.0.0.1")
    yield metrics
    metrics.close()


def observe(metrics: TrainingMetrics, step: int) -> None:
    metrics.observe(
        step=step,
        of=2000,
        loss=1.25,
        terms={},
        learning_rate=5e-4,
        gradient_norm=0.75,
        tokens=4096 * step,
        tokens_per_second=15_246.5,
        data_wait_seconds=0.5,
        eta_seconds=60.0,
    )


def get(port: int, path: str, accept: str = "") -> tuple[str, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def scrape(port: int) -> dict[str, float]:
    _, text = get(port, "/metrics")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert all(LABELS.items() <= sample.labels.items() for sample in samples)
    told = (sample for sample in samples if not sample.name.startswith("mtj_cpu_"))
    return {
        " ".join([sample.name, *sorted(dict(sample.labels.items() - LABELS.items()).values())]): sample.value
        for sample in told
    }


NO_TROUBLE = {
    "mtj_train_bad_steps_total not_finite": 0.0,
    "mtj_train_bad_steps_total spike": 0.0,
    "mtj_train_rollbacks_total": 0.0,
}
NOTHING = dict.fromkeys(("loss", "learning_rate", "tokens_per_second", "eta_seconds", "checkpoint", "gpu_idle"))


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_others_are_answered_at_every_address(port: int, address: str) -> None:
    metrics = TrainingMetrics("chorales", 3, 0, port)
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=10) as answer:
            assert b"mtj_train" in answer.read()
    finally:
        metrics.close()


def test_before_the_first_logged_step(metrics: TrainingMetrics, port: int) -> None:
    assert scrape(port) == {"mtj_train_checkpoint_seconds_total": 0.0} | NO_TROUBLE
    beginning = {"stage": "train", "rank": 3, "processes": 1, "step": 0, "of": 0}
    assert json.loads(get(port, "/progress")[1]) == beginning | NOTHING


def test_a_resumed_run_tells_where_it_goes_on(port: int) -> None:
    complete = Complete(160, "s3://music/checkpoints/step-00000160", "2026-01-31T12:00:00Z")
    metrics = TrainingMetrics("chorales", 0, 0, port, processes=4, checkpoint=lambda: complete, host="127.0.0.1")
    metrics.begin(160, 2000)
    told = json.loads(get(port, "/progress")[1])
    _, text = get(port, "/metrics")
    metrics.close()
    assert told == {"stage": "train", "rank": 0, "processes": 4, "step": 160, "of": 2000} | NOTHING | {
        "checkpoint": {"step": 160, "url": "s3://music/checkpoints/step-00000160", "time": "2026-01-31T12:00:00Z"}
    }
    assert 'mtj_train_checkpoint_step{job="chorales",rank="0"} 160.0' in text
    assert 'mtj_train_step{job="chorales",rank="0"} 160.0' in text


def test_a_scrape_has_the_latest_logged_step(metrics: TrainingMetrics, port: int) -> None:
    observe(metrics, 10)
    observe(metrics, 20)
    metrics.observe_checkpoint(0.25)
    metrics.observe_checkpoint(0.5)
    assert scrape(port) == {
        "mtj_train_step": 20.0,
        "mtj_train_steps_planned": 2000.0,
        "mtj_train_loss": 1.25,
        "mtj_train_learning_rate": 5e-4,
        "mtj_train_gradient_norm": 0.75,
        "mtj_train_tokens_total": 81_920.0,
        "mtj_train_tokens_per_second": 15_246.5,
        "mtj_train_data_wait_seconds_total": 0.5,
        "mtj_train_checkpoint_seconds_total": 0.75,
        **NO_TROUBLE,
    }


def test_bad_steps_are_counted_by_kind(metrics: TrainingMetrics, port: int) -> None:
    metrics.observe_history(StepHistory(not_finite=2, spikes=1, rollbacks=3))
    served = scrape(port)
    assert {name: served[name] for name in NO_TROUBLE} == {
        "mtj_train_bad_steps_total not_finite": 2.0,
        "mtj_train_bad_steps_total spike": 1.0,
        "mtj_train_rollbacks_total": 3.0,
    }


def test_the_process_that_writes_checkpoints_tells_of_their_faults(port: int) -> None:
    metrics = TrainingMetrics("chorales", 3, 0, port, faults=lambda: Faults(failed=2, damaged=1), host="127.0.0.1")
    told = scrape(port)
    metrics.close()
    assert told["mtj_train_checkpoint_failures_total"] == 2.0
    assert told["mtj_train_checkpoints_damaged_total"] == 1.0


def test_the_time_of_a_slow_process_goes_into_work_and_that_of_the_others_into_waiting_for_it(port: int) -> None:
    now = 0.0
    pulse = Pulse(clock=lambda: now)
    metrics = TrainingMetrics("chorales", 3, 0, port, pulse=pulse, host="127.0.0.1")
    for phase, took in (
        (Phase.DATA, 0.5),
        (Phase.MEET, 0.25),
        (Phase.COMPUTE, 2.0),
        (Phase.DATA, 0.5),
        (Phase.MEET, 9),
    ):
        pulse.enter(phase, 1)
        now += took
    _, text = get(port, "/metrics")
    metrics.close()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    seconds = {one.labels["phase"]: one.value for one in samples if one.name == "mtj_train_phase_seconds_total"}
    assert seconds == {"begin": 0.0, "data": 1.0, "meet": 0.25, "compute": 2.0}


def test_progress_is_json(metrics: TrainingMetrics, port: int) -> None:
    observe(metrics, 20)
    content_type, text = get(port, "/progress?pretty")
    assert content_type == "application/json"
    assert json.loads(text) == {
        "stage": "train",
        "rank": 3,
        "processes": 1,
        "step": 20,
        "of": 2000,
        "loss": 1.25,
        "learning_rate": 5e-4,
        "tokens_per_second": 15_246.5,
        "eta_seconds": 60.0,
        "checkpoint": None,
        "gpu_idle": None,
    }


@pytest.mark.parametrize(
    ("query", "idle"),
    [
        ("?idle_below=10", {"below": 10, "seconds": 110.0}),
        ("?idle_below=100", {"below": 100, "seconds": 200.0}),
        ("", None),
        ("?idle_below=0", None),
        ("?idle_below=101", None),
        ("?idle_below=ten", None),
    ],
)
def test_progress_tells_of_idle_gpus_whoever_asks(port: int, query: str, idle: dict[str, float] | None) -> None:
    metrics = TrainingMetrics("chorales", 0, 0, port, gpu_idle=lambda below: 100.0 + below, host="127.0.0.1")
    told = json.loads(get(port, f"/progress{query}")[1])
    metrics.close()
    assert told["gpu_idle"] == idle


def test_prometheus_gets_the_format_that_it_asks_for(metrics: TrainingMetrics, port: int) -> None:
    observe(metrics, 20)
    assert get(port, "/metrics")[0].startswith("text/plain")
    content_type, text = get(port, "/metrics", "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_other_paths(metrics: TrainingMetrics, port: int) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as error:
        get(port, "/")
    with error.value as answer:
        assert answer.read() == b"try /metrics or /progress\n"


def test_each_process_of_a_machine_has_its_own_port(port: int) -> None:
    second = TrainingMetrics("chorales", 3, 1, port, host="127.0.0.1")
    observe(second, 1)
    assert scrape(port + 1)["mtj_train_step"] == 1.0
    second.close()


def test_a_port_in_use_costs_a_warning_only(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", port)):
        metrics = TrainingMetrics("chorales", 3, 0, port, host="127.0.0.1")
        observe(metrics, 1)
        metrics.close()
    warning = f"warning: no metrics, since port {port} cannot be had (Address already in use)\n"
    assert capsys.readouterr().err == warning


def test_port_zero_serves_nothing() -> None:
    metrics = TrainingMetrics("chorales", 3, 5, 0)
    observe(metrics, 1)
    metrics.close()


def test_the_port_is_free_again_after_closing(port: int) -> None:
    for step in range(3):
        metrics = TrainingMetrics("chorales", 3, 0, port, host="127.0.0.1")
        observe(metrics, step)
        assert scrape(port)["mtj_train_step"] == step
        metrics.close()
        metrics.close()


def test_a_client_that_hangs_up_is_no_matter(
    metrics: TrainingMetrics, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /metrics HT")
    observe(metrics, 1)
    assert scrape(port)["mtj_train_step"] == 1.0
    assert capsys.readouterr().err == ""
