"""The chart: what it makes of values, what it refuses, and that all of it is as the API server will have it."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtj_api.crd import custom_resource_definition_yaml
from mtj_operator.control.job_defaults import parsed
from mtj_operator.control.settings import add_arguments
from mtj_operator.plan.job_defaults import FIELDS
from support.helm import CHART, HelmError, Object, helm, of_kind, rendered
from support.kubectl import REPOSITORY, Kubectl
from support.would_apply import would_apply

pytestmark = pytest.mark.usefixtures("helm")

VALUES = Path(__file__).parent / "values"
VARIANTS = sorted(VALUES.glob("*.yaml"))
by_variant = pytest.mark.parametrize("variant", VARIANTS, ids=[path.stem for path in VARIANTS])


def variant(name: str) -> list[Object]:
    """The objects of a variant."""
    return rendered(yaml.safe_load((VALUES / f"{name}.yaml").read_text()))


def operator(objects: list[Object]) -> Object:
    """The container of the operator."""
    (deployment,) = of_kind(objects, "Deployment")
    container: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


# As it is.


def test_helm_has_no_complaint() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_the_definition_is_the_one_that_the_models_make() -> None:
    assert (CHART / "files/crd.yaml").read_text() == custom_resource_definition_yaml(), "run make manifests"


def test_the_definition_comes_with_an_upgrade_and_stays_behind() -> None:
    (crd,) = of_kind(rendered(), "CustomResourceDefinition")
    assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert crd == yaml.safe_load(custom_resource_definition_yaml())
    assert not (CHART / "crds").exists(), "Helm never upgrades what lies there"


@by_variant
def test_the_api_server_takes_it(variant: Path, kubectl: Kubectl) -> None:
    would_apply(kubectl, rendered(yaml.safe_load(variant.read_text())))


@by_variant
def test_its_pods_are_restricted(variant: Path, kubectl: Kubectl) -> None:
    (deployment,) = of_kind(rendered(yaml.safe_load(variant.read_text())), "Deployment")
    pod = deployment["spec"]["template"] | {"apiVersion": "v1", "kind": "Pod"}
    pod["metadata"] = {"name": "operator", **pod["metadata"]}
    pod["spec"] |= {"serviceAccountName": "default"}
    kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))
    security = pod["spec"]["containers"][0]["securityContext"]
    assert security["readOnlyRootFilesystem"]


@by_variant
def test_the_operator_knows_its_flags(variant: Path) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    container = operator(rendered(yaml.safe_load(variant.read_text())))
    options = parser.parse_args(container["args"])
    assert options.port == container["ports"][0]["containerPort"]


# What values do.


def test_named_namespaces_get_rights_of_their_own_and_the_cluster_none() -> None:
    objects = variant("named-namespaces")
    assert {role["metadata"]["name"] for role in of_kind(objects, "ClusterRole")} == {"mtj-editor", "mtj-viewer"}
    assert not of_kind(objects, "ClusterRoleBinding")
    for kind in ("Role", "RoleBinding"):
        found = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in of_kind(objects, kind)}
        assert found == {
            ("music", "mtj-operator"),
            ("drums", "mtj-operator"),
            ("mtj-system", "mtj-operator-lease"),
        }
    assert {"--namespace=music", "--namespace=drums"} < set(operator(objects)["args"])


def test_the_least_is_a_deployment_and_its_lease() -> None:
    objects = variant("least")
    assert sorted(one["kind"] for one in objects) == ["Deployment", "Lease"]
    (deployment,) = of_kind(objects, "Deployment")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == "brought-along"


def test_images_come_from_the_registry_of_the_site() -> None:
    objects = variant("air-gapped")
    assert operator(objects)["image"] == f"registry.example.com/mirror/mtj-operator:0.1.0@sha256:{'0' * 64}"
    trainer = f"--trainer-image=registry.example.com/mirror/music/trainer:1.2@sha256:{'1' * 64}"
    assert operator(objects)["args"][0] == trainer


def test_defaults_of_jobs_are_what_the_operator_reads() -> None:
    objects = variant("job-defaults")
    (config,) = of_kind(objects, "ConfigMap")
    found = parsed(yaml.safe_load(config["data"]["job-defaults.yaml"]), "values")
    assert found.node_selector == {"pool": "gpu"}
    assert found.resources.train.cpu == "4"
    assert "--storage-secret=s3" in operator(objects)["args"]


def test_changed_defaults_of_jobs_start_the_operator_anew() -> None:
    def template(queue: str) -> Any:
        (deployment,) = of_kind(rendered({"jobs": {"defaults": {"queue": queue}}}), "Deployment")
        return deployment["spec"]["template"]["metadata"]

    assert template("a") == template("a") != template("b")


def test_the_schema_knows_the_defaults_of_jobs() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = schema["properties"]["jobs"]["properties"]["defaults"]["properties"]
    assert {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in known} == set(FIELDS)


def test_every_value_has_a_type_and_is_there() -> None:
    """The schema and values.yaml have the same names, group by group."""

    def compare(schema: Object, values: Object, path: str) -> None:
        assert schema.get("additionalProperties") is False, path
        names = set(schema["properties"]) - {"global"}
        assert names >= set(values), path
        for name, value in values.items():
            inner = schema["properties"][name]
            if isinstance(value, dict) and value and "properties" in inner and name != "resources":
                compare(inner, value, f"{path}.{name}")
                missing = set(inner["properties"]) - set(value)
                assert not missing, f"{path}.{name} leaves out {missing}"

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    compare(json.loads((CHART / "values.schema.json").read_text()), values, "values")


def test_every_value_is_explained() -> None:
    """A comment stands before each group and each value at its top."""
    text = helm("show", "values", str(CHART))
    for name in yaml.safe_load(text):
        before = text[: re.search(rf"^{name}:", text, re.MULTILINE).start()].rstrip("\n")  # type: ignore[union-attr]
        block = before.rsplit("\n\n", 1)[-1]
        assert block.lstrip().startswith("#"), name


# Dashboards and alerts: whatever files are there.


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A copy of the chart with an alert and a dashboard of its own."""
    chart = tmp_path / "mtj-operator"
    shutil.copytree(CHART, chart)
    for folder in ("alerts", "dashboards"):
        shutil.rmtree(chart / folder, ignore_errors=True)
        (chart / folder).mkdir()
    (chart / "alerts/idle.yaml").write_text(yaml.safe_dump({"groups": [GROUP]}))
    (chart / "dashboards/fleet.json").write_text(json.dumps(DASHBOARD, indent=2))
    return chart


GROUP = {
    "name": "idle",
    "rules": [
        {
            "alert": "Idle",
            "expr": "mtj_gpu_utilization_ratio < 0.1",
            "annotations": {"summary": "{{ $labels.job }} idles at {{ $value }}"},
        }
    ],
}
DASHBOARD = {"title": "Fleet", "panels": [{"legendFormat": "{{rank}}"}]}


def test_alerts_and_dashboards_are_brought_along_as_they_stand(watched: Path, kubectl: Kubectl) -> None:
    values = {"metrics": {"prometheusRule": True, "labels": {"release": "p"}}, "dashboards": {"enabled": True}}
    objects = rendered(values, chart=watched)
    (rule,), (config,) = of_kind(objects, "PrometheusRule"), of_kind(objects, "ConfigMap")
    assert rule["metadata"]["name"] == "mtj-operator-idle"
    assert rule["metadata"]["labels"]["release"] == "p"
    assert rule["spec"] == {"groups": [GROUP]}
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config["data"]["fleet.json"]) == DASHBOARD
    would_apply(kubectl, objects)


def test_nothing_is_brought_along_unasked(watched: Path) -> None:
    assert rendered(chart=watched) == rendered()


# What is refused, and in which words.

WRONG: dict[str, tuple[Object, str]] = {
    "an unknown value": ({"replica": 2}, "additional properties 'replica' not allowed"),
    "an unknown value in a group": ({"crds": {"create": True}}, "additional properties 'create' not allowed"),
    "text for a number": ({"replicas": "two"}, "at '/replicas': got string, want integer"),
    "too many replicas": ({"replicas": 11}, "at '/replicas': maximum: got 11, want 10"),
    "a number for a name": ({"priorityClassName": 1}, "at '/priorityClassName': got number, want string"),
    "a name for a list": ({"namespaces": "music"}, "at '/namespaces': got string, want array"),
    "the same namespace twice": ({"namespaces": ["a", "a"]}, "at '/namespaces': items at 0 and 1 are equal"),
    "a namespace that cannot be": ({"namespaces": ["Music"]}, "at '/namespaces/0': 'Music' does not match pattern"),
    "a digest without its kind": ({"image": {"digest": "abc"}}, "at '/image/digest': 'abc' does not match pattern"),
    "an image with its tag": ({"image": {"repository": ""}}, "at '/image/repository': minLength: got 0, want 1"),
    "another pull policy": ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy': value must be one of"),
    "GPUs by default": (
        {"jobs": {"defaults": {"resources": {"train": {"gpus": 1}}}}},
        "at '/jobs/defaults/resources/train': additional properties 'gpus' not allowed",
    ),
    "a default that is none": (
        {"jobs": {"defaults": {"suspend": True}}},
        "at '/jobs/defaults': additional properties 'suspend' not allowed",
    ),
    "memory that is none": (
        {"jobs": {"defaults": {"resources": {"train": {"memory": "lots"}}}}},
        "at '/jobs/defaults/resources/train/memory': 'lots' does not match pattern",
    ),
    "a selector with a number": ({"nodeSelector": {"a": 1}}, "at '/nodeSelector/a': got number, want string"),
    "a port beyond all": (
        {"networkPolicy": {"apiServer": {"ports": [65536]}}},
        "at '/networkPolicy/apiServer/ports/0': maximum: got 65,536, want 65,535",
    ),
    "storage nowhere": (
        {"networkPolicy": {"storage": [{"ports": [443]}]}},
        "at '/networkPolicy/storage/0': missing property 'to'",
    ),
    "nobody to look names up": ({"networkPolicy": {"dns": []}}, "at '/networkPolicy/dns': minItems: got 0, want 1"),
}


@pytest.mark.parametrize(("values", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_refused_by_name(values: Object, sentence: str) -> None:
    with pytest.raises(HelmError) as refused:
        rendered(values)
    assert sentence in str(refused.value)


def test_the_versions_of_the_chart_are_those_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = re.search(r'^version = "(.+)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert chart["version"] == chart["appVersion"] == version[1]
