"""The reference of the resource as Markdown, made of the models: ``python -m mtj_api.reference``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from mtj_api import walk
from mtj_api.contract import API_VERSION, KIND, SHORT_NAME
from mtj_api.resolve import ResolvedValue, resolve
from mtj_api.spec import JobSpec, MusicTrainingJob, Scheduling, kubernetes

_HEAD = f"""\
# MusicTrainingJob

<!-- Made by `make reference` from operator/mtj_api/spec; a test compares the two. -->

`{API_VERSION}`, kind `{KIND}`, short name `{SHORT_NAME}`.
A field that is not here is an error. Fields marked *derived* follow from others: the value shown is that of the
smallest job, with its reason; `mtj explain job.yaml` shows those of yours. The smallest job is:

```yaml
apiVersion: {API_VERSION}
kind: {KIND}
metadata: {{name: my-job}}
spec:
  dataset: {{source: ./music}}
  model: {{}}
  output: ./out
```"""

_SMALLEST = {
    "metadata": {"name": "my-job"},
    "spec": {"dataset": {"source": "./music"}, "model": {}, "output": "./out"},
}

Schema = Mapping[str, Any]


_KINDS = {
    kubernetes.DNS_LABEL: "name",
    kubernetes.OBJECT_NAME: "name of an object",
    kubernetes.QUANTITY: "amount",
    kubernetes.LABEL_VALUE: "value of a label",
    kubernetes.QUALIFIED_NAME: "key of a label",
    kubernetes.EXTENDED_RESOURCE: "name of a resource",
    kubernetes.DATA_KEY: "key",
    kubernetes.VARIABLE_NAME: "name of a variable",
    kubernetes.MOUNT_PATH: "whole path",
    kubernetes.IMAGE: "image",
}
"""What a value is, by its pattern, where a reader of Kubernetes' own reference knows the form."""


def reference() -> str:
    """The page, with a section for each part of the resource."""
    derived = {value.path: value for value in resolve(MusicTrainingJob.model_validate(_SMALLEST)).values}
    sections: dict[type[BaseModel], list[tuple[str, ...]]] = {}
    fields = [field for field in walk.fields_of(MusicTrainingJob) if field.path[0] == "spec" and len(field.path) > 1]
    for field in fields:
        paths = sections.setdefault(field.owner, [])
        if field.path[:-1] not in paths:
            paths.append(field.path[:-1])
    text = [_HEAD, *_edits()]
    for owner, (path, *others) in sections.items():
        text.append(f"\n## {_dotted(path)}\n")
        text.append(f"{_line(owner.__doc__)}\n")
        if others:
            text.append(f"The same fields are in {_and([f'`{_dotted(other)}`' for other in others])}.\n")
        text.append("| field | value | default | |\n| --- | --- | --- | --- |")
        text.extend(_row(field, sections, derived) for field in fields if field.path[:-1] == path)
        rules = [f"- {_sentence(rule.message)}" for rule in getattr(owner, "RULES", ())]
        text.extend(["", *rules] if rules else [])
    return "\n".join(text) + "\n"


def _edits() -> Iterator[str]:
    """What may change in a job that is there."""
    suspended = [edit.field for edit in Scheduling.EDITS]
    names = [field.path[0] for field in walk.fields_of(Scheduling) if len(field.path) == 1]
    yield "\n## Edits\n"
    yield f"- Fixed once a job is created: {_and([edit.field for edit in JobSpec.EDITS])}."
    yield f"- In `scheduling`, only while the job is suspended: {_and(suspended)}."
    yield f"- In `scheduling`, at any time and without a restart: {_and([n for n in names if n not in suspended])}."


def _row(
    field: walk.SpecField,
    sections: Mapping[type[BaseModel], list[tuple[str, ...]]],
    derived: Mapping[str, ResolvedValue],
) -> str:
    schema = field.owner.model_json_schema(by_alias=True)
    name = field.path[-1]
    value = _value(schema["properties"][name], schema)
    description = _line(field.info.description)
    if field.model is not None:
        section = _dotted(sections[field.model][0])
        value = value.replace("object", f"[object](#{re.sub('[^a-z]', '', section.lower())})")
        description = description or _line(field.model.__doc__)
    cells = (f"`{name}`", value, _default(field, schema, derived), description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: walk.SpecField, schema: Schema, derived: Mapping[str, ResolvedValue]) -> str:
    if field.is_derived:
        found = derived.get(_dotted(field.path))
        return f"*derived:* {_shown(found.value)}, {found.reason}" if found else "*derived*"
    if field.path[-1] in schema.get("required", ()):
        return "**required**"
    default = field.info.get_default(call_default_factory=True)
    if isinstance(default, BaseModel) or default is None:
        return ""
    return _shown(default)


def _value(schema: Schema, root: Schema) -> str:
    """What may be written, in words: ``integer, 1 to 24``."""
    if "$ref" in schema:
        return _value(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return " or ".join(_value(one, root) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "object")
    if kind == "array":
        return f"list of: {_value(schema['items'], root)}"
    if "additionalProperties" in schema and "properties" not in schema:
        return f"map to: {_value(schema['additionalProperties'], root)}"
    if schema.get("pattern") in _KINDS:
        return _KINDS[schema["pattern"]]
    return ", ".join((kind, *_bounds(schema)))


def _bounds(schema: Schema) -> Iterator[str]:
    low = _bound("at least", schema.get("minimum")) or _bound("more than", schema.get("exclusiveMinimum"))
    high = _bound("at most", schema.get("maximum")) or _bound("less than", schema.get("exclusiveMaximum"))
    if low.startswith("at least") and high.startswith("at most"):
        yield f"{low.removeprefix('at least ')} to {high.removeprefix('at most ')}"
    else:
        yield from filter(None, (low, high))
    if "pattern" in schema:
        yield f"as `{schema['pattern']}`"


def _bound(word: str, limit: float | None) -> str:
    return "" if limit is None else f"{word} {limit:,}".removesuffix(".0")


def _shown(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True, exclude_none=True)
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        return f"{len(value)} of them"
    return f"`{json.dumps(value)}`" if not isinstance(value, str) else f"`{value}`"


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path).replace(".[]", "[]")


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _line(text: str | None) -> str:
    return " ".join((text or "").replace("``", "`").split())


def _sentence(message: str) -> str:
    name = message.split()[0]
    return (name.capitalize() if name.islower() else f"`{name}`") + message[len(name) :] + "."


if __name__ == "__main__":
    sys.stdout.write(reference())
