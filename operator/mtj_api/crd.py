"""The CustomResourceDefinition, made from the same pydantic models that ``mtj`` and the operator use.

Invariant: the schema is structural (Kubernetes' word for: every node has one type, nothing is a reference), so
that the API server prunes unknown fields, fills in the fixed defaults of the spec and checks every ``Rule`` and
``Edit`` by its CEL. Derived fields have no default there: what they resolve to depends on the others. The status
has one default alone, which says that the operator has not seen the job yet.
"""

from __future__ import annotations

import inspect
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mtj_api import walk
from mtj_api.contract import GROUP, KIND, PLURAL, SHORT_NAME, SINGULAR, VERSION
from mtj_api.faults import FORMS
from mtj_api.spec import JobSpec, MusicTrainingJob, SpecModel
from mtj_api.spec.base import DERIVED, Edit, Rule
from mtj_api.spec.reference import NAME_LENGTH, NAME_PATTERN
from mtj_api.status import UNSEEN, JobStatus

Schema = dict[str, Any]

NAME_RULE: Schema = {
    "rule": f"self.metadata.name.size() <= {NAME_LENGTH} && self.metadata.name.matches('{NAME_PATTERN}')",
    "message": f"the name must be lower-case letters, digits and '-', at most {NAME_LENGTH} of them, as pods carry it",
}

COLUMNS: tuple[Schema, ...] = (
    {"name": "State", "type": "string", "jsonPath": ".status.state"},
    {"name": "Stage", "type": "string", "jsonPath": ".status.stage"},
    {"name": "Progress", "type": "string", "jsonPath": ".status.progress.percent"},
    {"name": "Loss", "type": "number", "jsonPath": ".status.progress.loss"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Family", "type": "string", "jsonPath": ".spec.model.family", "priority": 1},
    {"name": "Output", "type": "string", "jsonPath": ".spec.output", "priority": 1},
    {"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1},
)
"""What ``kubectl get mtj`` shows, and with ``-o wide`` those of a priority too."""


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
            "status": _object(JobStatus) | {"default": UNSEEN},
        },
        "x-kubernetes-validations": [NAME_RULE],
    }


def _object(model: type[BaseModel]) -> Schema:
    """The schema of a part of the spec, with defaults and rules, or of the status."""
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
                schema = {"type": "array", "items": schema} | {
                    key: value
                    for key, value in leaves[name].items()
                    if key in ("minItems", "maxItems") or "-list-" in key
                }
        default = _default(info) if issubclass(model, SpecModel) else {}
        properties[name] = _described(schema, info) | default
    schema = {"type": "object", "description": inspect.getdoc(model)}
    required = [info.alias or attribute for attribute, info in model.model_fields.items() if info.is_required()]
    if required:
        schema["required"] = required
    schema["properties"] = properties
    rules: tuple[Rule | Edit, ...] = (*model.RULES, *model.EDITS) if issubclass(model, SpecModel) else ()
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
        if key in ("anyOf", "title", "default", "propertyNames", DERIVED):
            continue
        if key == "const":
            leaf["enum"] = [value]
        elif key in ("exclusiveMinimum", "exclusiveMaximum"):
            leaf[key.replace("exclusiveM", "m")] = value
            leaf[key] = True
        elif key in ("items", "additionalProperties"):
            leaf[key] = _leaf(value)
        elif key == "pattern" and value in FORMS:
            leaf.setdefault("x-kubernetes-validations", []).append(_form(value, schema))
        else:
            leaf[key] = value
    return leaf


def _form(pattern: str, schema: Schema) -> Schema:
    """A pattern as a rule: of a pattern itself, the API server could only say that it was not matched."""
    matches = f"self.matches(r'{pattern}')"
    if "x-kubernetes-int-or-string" in schema:
        matches = f"type(self) == int || {matches}"
    return {"rule": matches, "message": f"this has the wrong form; {FORMS[pattern]}"}


def _described(schema: Schema, info: FieldInfo) -> Schema:
    text = info.description or schema.get("description", "")
    if walk.is_derived(info):
        text = f"{text} Derived from the rest of the job where it is left out.".strip()
    rest = {key: value for key, value in schema.items() if key not in ("type", "description")}
    kind = {"type": schema["type"]} if "type" in schema else {}
    return kind | ({"description": text.replace("``", "`")} if text else {}) | rest


def _default(info: FieldInfo) -> Schema:
    """The fixed default. A group's is empty: the API server then fills in the defaults of what is in it.

    One with rules is written out, since the API server tries the rules on the default as it stands.
    """
    if info.is_required() or walk.is_derived(info):
        return {}
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return {}
    if isinstance(value, SpecModel):
        value = value.model_dump(by_alias=True, exclude_none=True) if value.RULES else {}
    return {"default": value}
