"""The policies that the chart makes: whom they let talk, pair by pair, and nobody else.

Pods of jobs have the labels and ports that the operator gives them, and the operator's those of its Deployment.
"""

from __future__ import annotations

import pytest
import yaml

from mtj_api import parse_job
from mtj_api.contract import RAY_PORT, RENDEZVOUS_PORT
from mtj_operator.plan.objects import Owner, children, stages_on_cluster
from mtj_operator.plan.settings import ClusterSettings
from support.helm import of_kind, rendered
from support.jobs import text
from support.kubectl import REPOSITORY
from support.network_policies import End, Network

pytestmark = pytest.mark.usefixtures("helm")

STORAGE = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "storage"}},
            "podSelector": {"matchLabels": {"app": "s3"}},
        }
    ],
    "ports": [8333],
}
PUBLIC = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}}], "ports": [443]}

CLUSTER_WIDE = {"networkPolicy": {"enabled": True, "jobNamespaces": ["music", "drums"], "storage": [PUBLIC, STORAGE]}}
NAMED = {"namespaces": ["music", "drums"], "networkPolicy": {"enabled": True, "storage": [PUBLIC, STORAGE]}}

_SPEC = {
    "dataset": {"source": "s3://music/raw", "workers": {"nodes": 2}},
    "model": {},
    "training": {"nodes": 2, "processesPerNode": 4, "batch": {"size": 8}},
    "output": "s3://music/out",
}


def of_job(stage: str, address: str, namespace: str = "music", job: str = "chorales") -> End:
    """A pod of a stage, as the operator makes it."""
    settings = ClusterSettings(trainer_image="trainer:1")
    resolved = parse_job(text(**_SPEC)).job
    resolved.metadata.name = job
    (one,) = (one for one in stages_on_cluster(resolved, settings).stages if one.name == stage)
    template = children(resolved, Owner(namespace, job, "1-2-3"), one, 1, settings)[-1].object["spec"]["template"]
    ports = template["spec"]["containers"][0].get("ports", ())
    numbers = {port["name"]: port["containerPort"] for port in ports}
    return End(address, namespace, template["metadata"]["labels"], numbers)


def of_operator() -> End:
    """A pod of the operator, as its Deployment ships."""
    objects = list(yaml.safe_load_all((REPOSITORY / "manifests/operator/operator.yaml").read_text()))
    (deployment,) = of_kind(objects, "Deployment")
    return End("10.0.0.2", "mtj-system", deployment["spec"]["template"]["metadata"]["labels"])


PREPARES, HELPS = of_job("prepare", "10.0.1.1"), of_job("prepare", "10.0.1.2")
TRAINS, TOO = of_job("train", "10.0.1.3"), of_job("train", "10.0.1.4")
EVALUATES, PUBLISHES = of_job("evaluate", "10.0.1.5"), of_job("publish", "10.0.1.6")
OF_OTHERS = of_job("train", "10.0.2.1", "drums")
NEIGHBOUR = End("10.0.1.9", "music", {"app": "web"})
STRANGER = End("10.0.3.1", "shop", {"app": "web"})
OPERATOR = of_operator()
PROMETHEUS = End("10.0.4.1", "monitoring", {"app": "prometheus"})
DNS = End("10.0.5.1", "kube-system", {"k8s-app": "kube-dns"})
S3 = End("10.0.6.1", "storage", {"app": "s3"})
CLOUD = End("198.51.100.7")
CLOUD_6 = End("2001:db8::7")
METADATA = End("169.254.169.254")
API_SERVER = End("10.96.0.1")

METRICS = tuple(TRAINS.ports.values())
GRADIENTS = 45_123
"""A port that a process chooses itself."""

# from, to, port, protocol
MUST: dict[str, tuple[End, End, int, str]] = {
    "rendezvous": (TOO, TRAINS, RENDEZVOUS_PORT, "TCP"),
    "gradients": (TRAINS, TOO, GRADIENTS, "TCP"),
    "Ray": (HELPS, PREPARES, RAY_PORT, "TCP"),
    "Ray's workers": (PREPARES, HELPS, GRADIENTS, "TCP"),
    "names, for a stage": (PREPARES, DNS, 53, "UDP"),
    "long names, for a stage": (TRAINS, DNS, 53, "TCP"),
    "names, for the operator": (OPERATOR, DNS, 53, "UDP"),
    "the API server": (OPERATOR, API_SERVER, 443, "TCP"),
    "the API server's own port": (OPERATOR, API_SERVER, 6443, "TCP"),
    "scraping the operator": (PROMETHEUS, OPERATOR, 8080, "TCP"),
    **{
        f"storage in the cloud, {stage}": (pod, CLOUD, 443, "TCP")
        for stage, pod in (("prepare", PREPARES), ("train", TRAINS), ("evaluate", EVALUATES), ("publish", PUBLISHES))
    },
    "storage in the cluster": (TRAINS, S3, 8333, "TCP"),
    **{f"scraping process {rank}": (PROMETHEUS, TRAINS, port, "TCP") for rank, port in enumerate(METRICS)},
    "progress": (OPERATOR, TRAINS, METRICS[0], "TCP"),
    "progress, elsewhere": (OPERATOR, OF_OTHERS, METRICS[0], "TCP"),
}

MUST_NOT: dict[str, tuple[End, End, int, str]] = {
    "jobs of other teams": (TRAINS, OF_OTHERS, RENDEZVOUS_PORT, "TCP"),
    "from jobs of other teams": (OF_OTHERS, TRAINS, GRADIENTS, "TCP"),
    "a job and the operator": (TRAINS, OPERATOR, 8080, "TCP"),
    "a job and the API server": (TRAINS, API_SERVER, 443, "TCP"),
    "a job and the API server's own port": (TRAINS, API_SERVER, 6443, "TCP"),
    "a job and its node's metadata": (TRAINS, METADATA, 80, "TCP"),
    "a job and the web": (TRAINS, CLOUD, 80, "TCP"),
    "a job and shells elsewhere": (TRAINS, CLOUD, 22, "TCP"),
    "a job and other pods of its namespace": (TRAINS, NEIGHBOUR, 80, "TCP"),
    "a job and pods elsewhere": (TRAINS, STRANGER, 443, "TCP"),
    "a job and Prometheus": (TRAINS, PROMETHEUS, 9090, "TCP"),
    "a job and another port of the storage": (TRAINS, S3, 9333, "TCP"),
    "a job and more of the nameserver": (TRAINS, DNS, 9153, "TCP"),
    "other pods of the namespace and a job": (NEIGHBOUR, TRAINS, RENDEZVOUS_PORT, "TCP"),
    "other pods of the namespace and its metrics": (NEIGHBOUR, TRAINS, METRICS[0], "TCP"),
    "pods elsewhere and a job": (STRANGER, TRAINS, METRICS[0], "TCP"),
    "Prometheus and more of a job": (PROMETHEUS, TRAINS, RENDEZVOUS_PORT, "TCP"),
    "the operator and more of a job": (OPERATOR, TRAINS, RENDEZVOUS_PORT, "TCP"),
    "the operator and storage": (OPERATOR, S3, 8333, "TCP"),
    "the operator and the web": (OPERATOR, CLOUD, 80, "TCP"),
    "the operator and other pods": (OPERATOR, STRANGER, 8080, "TCP"),
    "pods elsewhere and the operator": (STRANGER, OPERATOR, 8080, "TCP"),
    "Prometheus and more of the operator": (PROMETHEUS, OPERATOR, 8081, "TCP"),
    "from outside to a job": (CLOUD, TRAINS, RENDEZVOUS_PORT, "TCP"),
    "from outside to the operator": (CLOUD, OPERATOR, 8080, "TCP"),
}


@pytest.fixture(scope="module", params=[CLUSTER_WIDE, NAMED], ids=["the whole cluster", "named namespaces"])
def network(request: pytest.FixtureRequest) -> Network:
    return Network(of_kind(rendered(request.param), "NetworkPolicy"))


@pytest.mark.parametrize(("source", "target", "port", "protocol"), MUST.values(), ids=MUST)
def test_what_must_talk_may(network: Network, source: End, target: End, port: int, protocol: str) -> None:
    assert network.allows(source, target, port, protocol)


@pytest.mark.parametrize(("source", "target", "port", "protocol"), MUST_NOT.values(), ids=MUST_NOT)
def test_nobody_else_may(network: Network, source: End, target: End, port: int, protocol: str) -> None:
    assert not network.allows(source, target, port, protocol)


def test_without_policies_all_of_that_may() -> None:
    """So the table above can fail."""
    open_network = Network(of_kind(rendered(), "NetworkPolicy"))
    assert all(open_network.allows(*pair) for pair in MUST_NOT.values())


@pytest.fixture(scope="module")
def of_defaults() -> Network:
    values = {"networkPolicy": {"enabled": True, "jobNamespaces": ["music"]}}
    return Network(of_kind(rendered(values), "NetworkPolicy"))


@pytest.mark.parametrize(
    ("target", "port", "allowed"),
    [
        (CLOUD, 443, True),
        (CLOUD_6, 443, True),
        (S3, 8333, False),
        (End("192.168.1.7"), 443, False),
        (End("fd00::7"), 443, False),
        (METADATA, 80, False),
        (API_SERVER, 443, False),
    ],
    ids=["the cloud", "the cloud by IPv6", "the cluster", "a private network", "one by IPv6", "metadata", "the API"],
)
def test_by_default_storage_is_public(of_defaults: Network, target: End, port: int, allowed: bool) -> None:
    assert of_defaults.allows(TRAINS, target, port) is allowed
