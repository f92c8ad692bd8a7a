"""Jobs at the borders of what the resource allows, as hypothesis makes them up from the CustomResourceDefinition.

A few fields of a plain job get values that just fit or just do not: most such jobs are right, and each kind of bound
is tried from both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from mtj_api.crd import custom_resource_definition
from support.jobs import document

Schema = dict[str, Any]

_FEW = 9
"""Lists and maps of at most so many items are also made one too long."""


def near_jobs() -> st.SearchStrategy[dict[str, Any]]:
    """Documents of jobs."""
    spec = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    fields = list(_leaves(spec, ()))
    change = st.sampled_from(fields).flatmap(lambda field: st.tuples(st.just(field[0]), _near(field[1])))
    return st.lists(change, min_size=1, max_size=4).map(_job)


def _job(changes: list[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    job = document(model={}, training={})
    for path, value in changes:
        around = job["spec"]
        for name in path[:-1]:
            around = around.setdefault(name, {})
        around[path[-1]] = value
    return job


def _leaves(schema: Schema, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Schema]]:
    for name, child in schema["properties"].items():
        if "properties" in child:
            yield from _leaves(child, (*path, name))
        else:
            yield (*path, name), child


def _near(schema: Schema) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], "another"])
    match schema.get("type", "amount"):
        case "object" if "properties" in schema:
            parts = {name: _near(child) for name, child in schema["properties"].items()}
            return st.fixed_dictionaries({}, optional=parts)
        case "object":
            keys = st.sampled_from(["pool", "example.com/pool", "a b", "training.discomusica.io/job"])
            return st.dictionaries(keys, _near(schema["additionalProperties"]), max_size=2)
        case "array":
            most = schema["maxItems"] + 1 if schema["maxItems"] <= _FEW else 2
            return st.lists(_near(schema["items"]), max_size=most)
        case "boolean":
            return st.sampled_from([True, False, "true"])
        case "integer" | "number" as kind:
            step = 1 if kind == "integer" else 0.25
            low, high = schema.get("minimum", -100), schema.get("maximum", 100)
            return st.sampled_from([low - step, low, low + step, high - step, high, high + step, "1"])
        case "amount":
            return st.sampled_from([4, 0, -1, "500m", "1.5", "16Gi", "16GB", "", "many"])
        case _:
            return _text(schema)


def _text(schema: Schema) -> st.SearchStrategy[str]:
    longest = schema.get("maxLength", _FEW)
    usual = st.sampled_from(["", "a", "A", "a b", "/a/b", "s3://a/b", "x" * longest, "x" * (longest + 1)])
    forms = re.findall(r"self\.matches\(r'([^']*)'\)", str(schema.get("x-kubernetes-validations", "")))
    fitting = [st.from_regex(str(form), fullmatch=True) for form in forms]
    return st.one_of(usual, *fitting)
