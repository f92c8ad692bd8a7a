"""Any job that the API takes, as hypothesis makes them up: from the models of the spec, so that new fields are in.

What does not matter to where and how a job runs is left at its defaults.
"""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import assume
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from mtj_api import JobError, MusicTrainingJob, parse_job, walk
from mtj_api.spec import Monitoring, Scheduling, Workers
from mtj_api.spec.reference import NAME_LENGTH, NAME_PATTERN

KEYS = r"([a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?"
"""Of labels and annotations: what rules over a whole map ask for, which no field's own schema says."""

names = st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: len(name) <= NAME_LENGTH)
"""Names of jobs."""

engines = st.fixed_dictionaries(
    {
        "nodes": st.integers(1, 4),
        "processesPerNode": st.integers(1, 9),
        "engine": st.sampled_from(["torchrun", "fsdp", "deepspeed"]),
        "deepspeed": st.fixed_dictionaries({"launcher": st.sampled_from(["torchrun", "deepspeed"])}),
    }
)
"""How processes are started."""


def documents(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """A part of the spec as YAML would read it."""
    leaves = model.model_json_schema(by_alias=True)["properties"]
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for attribute, info in model.model_fields.items():
        name = info.alias or attribute
        child, is_list = walk.model_inside(info.annotation)
        values: st.SearchStrategy[Any]
        if child is None:
            values = _leaf(leaves[name])
        elif is_list:
            values = st.lists(documents(child), max_size=3, unique_by=repr)
        else:
            values = documents(child)
        (required if info.is_required() else optional)[name] = values
    return st.fixed_dictionaries(required, optional=optional).filter(lambda value: _fits(model, value))


@st.composite
def jobs(draw: st.DrawFn) -> MusicTrainingJob:
    """A resolved job."""
    spec: dict[str, Any] = {
        "dataset": {"source": "s3://music/raw", "workers": draw(documents(Workers))},
        "monitoring": draw(documents(Monitoring)),
        "scheduling": draw(documents(Scheduling)),
        "output": "s3://music/out",
    }
    if draw(st.booleans()):
        spec |= {"model": {}, "training": draw(engines)}
    job = {
        "apiVersion": "training.discomusica.io/v1alpha1",
        "kind": "MusicTrainingJob",
        "metadata": {"name": draw(names)},
        "spec": spec,
    }
    try:
        return parse_job(yaml.safe_dump(job)).job
    except JobError:  # a rule over the whole
        assume(False)
        raise


def _leaf(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    for option in schema.get("anyOf", ()):
        if option != {"type": "null"}:
            schema = {**schema, **option}
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    if schema.get("type") == "array":
        return st.lists(_leaf(schema["items"]), max_size=3, unique=True)
    if schema.get("type") == "object":
        return st.dictionaries(st.from_regex(KEYS, fullmatch=True), _leaf(schema["additionalProperties"]), max_size=3)
    if schema.get("type") == "boolean":
        return st.booleans()
    if schema.get("type") == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    return _text(schema)


def _text(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    longest = schema["maxLength"]
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: len(text) <= longest)
    return st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20)


def _fits(model: type[BaseModel], value: Any) -> bool:
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True
