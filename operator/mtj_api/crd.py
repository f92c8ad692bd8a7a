"""The CustomResourceDefinition, made from the same pydantic models that ``mtj`` reads a job with.

Invariant: the schema is structural (Kubernetes' word for: every node has one type, nothing is a reference), so
that the API server prunes unknown fields, fills in the fixed defaults and checks every ``Rule`` by its CEL.
Derived fields have no default there: what they resolve to depends on the others.
"""

from __future__ import annotations

import inspect
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mtj_api import walk
from mtj_api.contract import GROUP, KIND, PLURAL, SHORT_NAME, SINGULAR, VERSION
from mtj_api.spec import JobSpec, MusicTrainingJob, SpecModel
from mtj_api.spec.base import DERIVED
from mtj_api.spec.job import NAME_LENGTH, NAME_PATTERN

Schema = dict[str, Any]

NAME_RULE: Schema = {
    "rule": f"self.metadata.name.size() <= {NAME_LENGTH} && self.metadata.name.matches('{NAME_PATTERN}')",
    "message": f"the name must be lower-case letters, digits and '-', at most {NAME_LENGTH} of them, as pods carry it",
}

COLUMNS: tuple[Schema, ...] = (
    {"name": "Family", "type": "string", "jsonPath": ".spec.model.family"},
    {"name": "Steps", "type": "integer", "jsonPath": ".spec.training.steps"},
    {"name": "Output", "type": "string", "jsonPath": ".spec.output", "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)
"""What ``kubectl get mtj`` shows."""


def custom_resource_definition() -> Schema:
    """The CRD as the object that ``kubectl apply`` takes."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": SINGULAR,
                "shortNames": [SHORT_NAME],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(COLUMNS),
                    "schema": {"openAPIV3Schema": _root_schema()},
                }
            ],
        },
    }


def custom_resource_definition_yaml() -> str:
    """The same as the text that is kept in ``manifests/crd``."""
    return yaml.dump(custom_resource_definition(), Dumper=_Dumper, sort_keys=False, width=110)


class _Dumper(yaml.SafeDumper):
    """Writes the same object out each time, where YAML's own would write an alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _root_schema() -> Schema:
    return {
        "type": "object",
        "description": inspect.getdoc(MusicTrainingJob),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _object(JobSpec),
            "status": {
                "type": "object",
                "description": "What has become of the job, as the operator sees it.",
                "x-kubernetes-preserve-unknown-fields": True,
            },
        },
        "x-kubernetes-validations": [NAME_RULE],
    }


def _object(model: type[BaseModel]) -> Schema:
    """The schema of a part of the spec, with defaults and rules."""
    leaves = model.model_json_schema(by_alias=True)["properties"]
    properties: Schema = {}
    for attribute, info in model.model_fields.items():
        name = info.alias or attribute
        child, is_list = walk.model_inside(info.annotation)
        if child is None:
            schema = _leaf(leaves[name])
        else:
            schema = _object(child)
            if is_list:
                bounds = {key: value for key, value in leaves[name].items() if key in ("minItems", "maxItems")}
                schema = {"type": "array", **bounds, "items": schema}
        properties[name] = _described(schema, info) | _default(info)
    schema = {"type": "object", "description": inspect.getdoc(model)}
    required = [info.alias or attribute for attribute, info in model.model_fields.items() if info.is_required()]
    if required:
        schema["required"] = required
    schema["properties"] = properties
    rules = model.RULES if issubclass(model, SpecModel) else ()
    if rules:
        schema["x-kubernetes-validations"] = [
            {"rule": rule.cel, "message": rule.message} | ({"fieldPath": f".{rule.field}"} if rule.field else {})
            for rule in rules
        ]
    return schema


def _leaf(schema: Schema) -> Schema:
    """A value's schema in OpenAPI 3.0 as Kubernetes takes it, from pydantic's JSON Schema."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if options:
        (only,) = options
        schema = {**schema, **only}
    leaf: Schema = {}
    for key, value in schema.items():
        if key in ("anyOf", "title", "default", DERIVED):
            continue
        if key == "const":
            leaf["enum"] = [value]
        elif key in ("exclusiveMinimum", "exclusiveMaximum"):
            leaf[key.replace("exclusiveM", "m")] = value
            leaf[key] = True
        elif key == "items":
            leaf[key] = _leaf(value)
        else:
            leaf[key] = value
    return leaf


def _described(schema: Schema, info: FieldInfo) -> Schema:
    text = info.description or schema.get("description", "")
    if walk.is_derived(info):
        text = f"{text} Derived from the rest of the job where it is left out.".strip()
    rest = {key: value for key, value in schema.items() if key != "description"}
    kind = {"type": rest.pop("type")}
    return kind | ({"description": text.replace("``", "`")} if text else {}) | rest


def _default(info: FieldInfo) -> Schema:
    """The fixed default. A group's is empty: the API server then fills in the defaults of what is in it."""
    if info.is_required() or walk.is_derived(info):
        return {}
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return {}
    return {"default": {} if isinstance(value, BaseModel) else value}
