"""The CustomResourceDefinition: what is kept is what the models make, it is structural, and the samples fit it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mtj_api import contract, load_job, resolved_json, walk
from mtj_api.crd import custom_resource_definition, custom_resource_definition_yaml
from mtj_api.spec import JobSpec
from support.jobs import document

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "manifests/crd/training.discomusica.io_musictrainingjobs.yaml"
SAMPLES = sorted((ROOT / "manifests/samples").glob("*.yaml"))

Node = dict[str, Any]


def root_schema() -> Node:
    schema: Node = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every node of a schema with its dotted path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}".lstrip("."))
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


NODES = list(nodes(root_schema()))
SPEC_NODES = [(path, node) for path, node in NODES if path.startswith("spec")]


def test_what_is_kept_is_what_the_models_make() -> None:
    assert KEPT.read_text(encoding="utf-8") == custom_resource_definition_yaml(), f"run: mtj crd > {KEPT}"
    assert yaml.safe_load(KEPT.read_text(encoding="utf-8")) == custom_resource_definition()


def test_it_is_small_enough_for_kubectl_apply() -> None:
    """Client-side apply keeps the whole object in an annotation of at most 256 KiB; a fifth is left for growth."""
    assert KEPT.stat().st_size < 200_000


def test_it_is_named_as_the_contract_says() -> None:
    crd = custom_resource_definition()
    assert crd["metadata"]["name"] == f"{contract.PLURAL}.{contract.GROUP}"
    assert crd["spec"]["names"]["shortNames"] == ["mtj"]
    assert crd["spec"]["names"]["categories"] == ["all"]
    assert [version["name"] for version in crd["spec"]["versions"]] == [contract.VERSION]


KNOWN_KEYS = {
    "array": {"items", "maxItems", "minItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"},
    "boolean": set(),
    "integer": {"enum", "maximum", "minimum"},
    "number": {"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"},
    "object": {"properties", "required", "additionalProperties", "maxProperties"},
    "string": {"enum", "maxLength", "minLength", "pattern", "format"},
    "amount": {"x-kubernetes-int-or-string", "minimum", "maxLength", "pattern"},
}
"""What a structural schema of OpenAPI 3.0 may say of each type; nothing else is used."""


def kind(node: Node) -> str:
    """The type of a node; an amount of Kubernetes, a number or a text, has none."""
    return node["type"] if "x-kubernetes-int-or-string" not in node else "amount"


@pytest.mark.parametrize(("path", "node"), NODES, ids=[path or "root" for path, _ in NODES])
def test_every_node_is_structural(path: str, node: Node) -> None:
    common = {"type", "description", "default", "x-kubernetes-validations"}
    assert set(node) <= common | KNOWN_KEYS[kind(node)]
    for key in ("exclusiveMinimum", "exclusiveMaximum"):
        assert node.get(key, True) is True, "OpenAPI 3.0 has booleans here"
    assert set(node.get("required", ())) <= set(node.get("properties", ()))


@pytest.mark.parametrize(("path", "node"), NODES, ids=[path for path, _ in NODES])
def test_every_list_map_and_text_has_a_bound(path: str, node: Node) -> None:
    """CEL's cost is reckoned from the bounds, and a status without them could outgrow etcd."""
    if kind(node) == "array":
        assert "maxItems" in node
    if "additionalProperties" in node:
        assert "maxProperties" in node
    if kind(node) in ("string", "amount") and path not in ("apiVersion", "kind"):
        assert {"maxLength", "enum", "format"} & set(node)


@pytest.mark.parametrize(("path", "node"), NODES, ids=[path for path, _ in NODES])
def test_every_field_is_described(path: str, node: Node) -> None:
    if path.startswith(("spec", "status")) and not path.endswith("[]"):
        assert node["description"].endswith((".", ")"))


def test_nothing_is_kept_that_the_schema_does_not_know() -> None:
    assert not any("preserve-unknown-fields" in key for _, node in NODES for key in node)


def test_derived_fields_have_no_default_and_are_not_required() -> None:
    schemas = dict(NODES)
    for field in walk.fields_of(JobSpec, ("spec",)):
        path = ".".join(field.path).replace(".[]", "[]")
        owner = schemas[path.rpartition(".")[0]]
        if field.is_derived:
            assert "default" not in schemas[path]
            assert field.path[-1] not in owner.get("required", ())


def test_fixed_defaults_are_those_of_the_models() -> None:
    """Filled in as the API server does it, a job means the same as when ``mtj`` reads it."""
    from mtj_api import MusicTrainingJob, resolve

    written = document(model={}, training={}, evaluation={"requests": [{}]})
    filled = _with_defaults(root_schema(), written)
    assert filled["spec"]["dataset"]["audio"]["segment"]["minSeconds"] == 10.0
    assert resolve(MusicTrainingJob.model_validate(filled)).job == resolve(MusicTrainingJob.model_validate(written)).job


def _with_defaults(schema: Node, value: Any) -> Any:
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name not in value and "default" in child:
                value[name] = yaml.safe_load(yaml.safe_dump(child["default"]))
            if name in value:
                value[name] = _with_defaults(child, value[name])
        if "additionalProperties" in schema:
            return {name: _with_defaults(schema["additionalProperties"], item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_defaults(schema["items"], item) for item in value]
    return value


@pytest.mark.parametrize(("path", "node"), NODES, ids=[path or "root" for path, _ in NODES])
def test_defaults_fit_their_own_schema(path: str, node: Node) -> None:
    if "default" in node:
        jsonschema.Draft4Validator(node).validate(_with_defaults(node, yaml.safe_load(yaml.safe_dump(node["default"]))))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_fits_the_schema_and_so_does_what_it_resolves_to(sample: Path) -> None:
    validator = jsonschema.Draft4Validator(_closed(root_schema()))
    (written,) = [job for job in yaml.safe_load_all(sample.read_text(encoding="utf-8")) if job["kind"] == contract.KIND]
    validator.validate(written)
    validator.validate(yaml.safe_load(resolved_json(load_job(sample).job)))


def test_the_check_of_samples_sees_an_unknown_field() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(_closed(root_schema())).validate(document(colour="blue"))


def _closed(schema: Node) -> Node:
    """The schema as one that refuses unknown fields, as ``kubectl apply --validate=strict`` does."""
    closed = dict(schema)
    if "properties" in schema:
        closed["properties"] = {name: _closed(child) for name, child in schema["properties"].items()}
        closed["additionalProperties"] = False
    if "items" in schema:
        closed["items"] = _closed(schema["items"])
    return closed
