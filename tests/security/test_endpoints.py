"""What listens: it answers questions and takes no orders, and the network keeps others from what does."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from mtj_api.contract import RAY_PORT, RENDEZVOUS_PORT
from mtj_api.spec import Monitoring, Training
from mtj_operator.execute.local import LOOPBACK
from mtj_trainer.prepare.launch import HEAD
from mtj_trainer.train.metrics import TrainingMetrics
from support.cluster_plans import CASES, Case
from support.kubectl import REPOSITORY
from support.ports import free_ports

POLICY: dict[str, Any] = yaml.safe_load((REPOSITORY / "manifests/tenant/network-policy.yaml").read_text())


@pytest.fixture
def metrics() -> Iterator[tuple[int, TrainingMetrics]]:
    (port,) = free_ports(1)
    serving = TrainingMetrics("chorales", 0, 0, port, host=LOOPBACK)
    yield port, serving
    serving.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("GET", "/progress", 200),
        ("GET", "/", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "//metrics/../etc", 404),
        ("POST", "/metrics", 501),
        ("PUT", "/progress", 501),
        ("DELETE", "/progress", 501),
    ],
)
def test_training_answers_two_questions_and_takes_no_orders(
    metrics: tuple[int, TrainingMetrics], method: str, path: str, status: int
) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, metrics[0], timeout=30)
    connection.request(method, path, body=b"x" if method in ("POST", "PUT") else None)
    answer = connection.getresponse()
    assert answer.status == status
    body = answer.read()
    assert path != "/progress" or method != "GET" or json.loads(body)["stage"] == "train"
    connection.close()


def test_rays_head_on_a_cluster_has_no_dashboard() -> None:
    assert HEAD[HEAD.index("--include-dashboard") + 1] == "false"


@pytest.mark.parametrize("case", CASES, ids=[case.folder.name for case in CASES])
def test_the_network_policy_is_for_every_pod_of_every_job(case: Case) -> None:
    (wanted,) = POLICY["spec"]["podSelector"]["matchExpressions"]
    assert wanted["operator"] == "Exists"
    found = case.objects(*[stage.name for stage in case.plan.stages])
    templates = [one["spec"]["template"] for one in found if one["kind"] == "Job"]
    assert templates
    for template in templates:
        assert wanted["key"] in template["metadata"]["labels"]


def test_from_outside_of_jobs_only_figures_can_be_reached() -> None:
    among_jobs, from_outside = POLICY["spec"]["ingress"]
    assert among_jobs == {"from": [{"podSelector": POLICY["spec"]["podSelector"]}]}
    (ports,) = from_outside["ports"]
    opened = range(ports["port"], ports["endPort"] + 1)
    first = Monitoring().metrics_port
    most = next(rule.le for rule in Training.model_fields["processes_per_node"].metadata if hasattr(rule, "le"))
    assert opened == range(first, first + most)
    assert RAY_PORT not in opened
    assert RENDEZVOUS_PORT not in opened
    assert "Ingress" in POLICY["spec"]["policyTypes"]
