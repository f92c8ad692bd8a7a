"""One sentence for every fault in a job: what is wrong, where, and what to write instead."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from mtj_api.document import Document, Location, dotted
from mtj_api.errors import JobError
from mtj_api.nearest import field_at, fields_in, instead_of
from mtj_api.spec import evaluation, kubernetes

Sentence = Callable[[dict[str, Any], Any, Location], tuple[str, str]]
"""(pydantic's context, the value as written, its location) -> (what is wrong, what to write instead)."""

EXAMPLES: dict[str, str] = {
    "apiVersion": "'apiVersion: training.discomusica.io/v1alpha1'",
    "spec": "'spec: {dataset: {source: ./music}, output: ./out}'",
    "spec.output": "'output: ./out' or 'output: s3://music/models/chorales'",
    "spec.dataset": "'dataset: {source: ./music}'",
    "metadata": "'metadata: {name: chorales}'",
    "metadata.name": "'name: chorales'",
    "spec.scheduling.podTemplate.volumes[].secret": "the name of a Secret",
    "spec.scheduling.podTemplate.volumes[].configMap": "the name of a ConfigMap",
    "spec.scheduling.podTemplate.imagePullSecrets[]": "the name of a Secret",
}
"""What to write for a field, where its type alone does not say."""

FORMS: dict[str, str] = {
    evaluation.KEY: "write a tonic and maj or min, such as Cmaj or F#min",
    evaluation.METRE: "write beats and unit, such as 4/4 or 6/8",
    kubernetes.DNS_LABEL: "write lower-case letters, digits and '-' between them, such as my-chorales",
    kubernetes.OBJECT_NAME: "write lower-case letters, digits, '-' and '.', such as s3-credentials",
    kubernetes.QUANTITY: "write an amount as Kubernetes does, such as 4, 500m or 16Gi",
    kubernetes.LABEL_VALUE: "write letters, digits, '-', '_' and '.', such as gpu-pool",
    kubernetes.QUALIFIED_NAME: "write letters, digits, '-', '_' and '.', perhaps after a domain and '/', such as "
    "example.com/pool",
    kubernetes.EXTENDED_RESOURCE: "write a domain, '/' and a name, such as nvidia.com/gpu",
    kubernetes.DATA_KEY: "write letters, digits, '-', '_' and '.', such as AWS_ACCESS_KEY_ID",
    kubernetes.VARIABLE_NAME: "write letters, digits and '_', such as HF_HOME",
    kubernetes.MOUNT_PATH: "write a whole path, such as /music",
    kubernetes.IMAGE: "write the name of an image, such as registry.example.com/trainer:1.0",
}
"""What to write, by the pattern that is to be matched."""


def explain_fault(error: Any, document: Document) -> JobError:
    """The sentence for one of pydantic's errors (``ValidationError.errors()``) about ``document``."""
    location: Location = tuple(error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    if location[-1:] == ("[key]",):
        location = (*location[:-2], str(location[-2]))
    elif kind == "invalid_key":
        location = (*location[:-1], str(location[-1]))
    if kind == "rule":
        about = (*location, *context["field"].split(".")) if context["field"] else location
        return JobError(context["message"], where=document.where(about))
    what, instead = _SENTENCES[kind](context, error["input"], location)
    return JobError(what, where=document.where(location), instead=instead)


def explain_missing_version(document: Document) -> Iterator[JobError]:
    """The models have a default for ``apiVersion``; a file needs it, or ``kubectl`` would not take it."""
    if "apiVersion" not in document.value:
        what, instead = _missing({}, None, ("apiVersion",))
        yield JobError(what, where=document.where(("apiVersion",)), instead=instead)


def explain_nothing(document: Document) -> Iterator[JobError]:
    """A sentence for every field that is written with nothing after it.

    To YAML that is null, which the API server takes for absent: ``model:`` without content, meant as a model with
    all the defaults, would quietly become a job without a model.
    """
    written = [("apiVersion",), ("metadata",), ("metadata", "name"), ("spec",)]
    for location in written:
        value: Any = document.value
        for part in location:
            value = value.get(part, "") if isinstance(value, dict) else ""
        yield from _nothing(value, location, document, deep=location == ("spec",))


def _nothing(value: Any, location: Location, document: Document, *, deep: bool) -> Iterator[JobError]:
    if value is None:
        field = field_at(location)
        if example := _example(location):
            instead = f"write {example}"
        elif field is not None and field.model is not None and isinstance(location[-1], str):
            instead = f"write '{location[-1]}: {{}}' for its defaults, or remove it"
        else:
            instead = "write a value, or remove it"
        yield JobError("nothing is written here", where=document.where(location), instead=instead)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items if deep else ():
        yield from _nothing(inner, (*location, key), document, deep=True)


def _example(location: Location) -> str | None:
    return EXAMPLES.get(re.sub(r"\[\d+\]", "[]", dotted(location)))


def _missing(_context: dict[str, Any], _value: Any, location: Location) -> tuple[str, str]:
    return "this field is missing", f"add {_example(location) or location[-1]}"


def _choice(context: dict[str, Any], value: Any, _location: Location) -> tuple[str, str]:
    choices = re.findall(r"'([^']*)'", context["expected"]) or re.split(r", | or ", context["expected"])
    near = difflib.get_close_matches(str(value), choices, n=1)
    guess = f" (did you mean {near[0]}?)" if near and len(choices) > 1 else ""
    return f"{_shown(value)} is not a choice here", f"write {_or(choices)}{guess}"


def _number(_context: dict[str, Any], value: Any, location: Location) -> tuple[str, str]:
    if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?", value):
        return f"{_shown(value)} is text", f"write {value} without quotes"
    field = field_at(location)
    default = field.info.default if field is not None else None
    example = f", such as {default}" if isinstance(default, int | float) else ""
    noun = "a whole number" if _context.get("whole") else "a number"
    return f"{_shown(value)} is not {noun}", f"write {noun}{example}"


def _whole_number(_context: dict[str, Any], value: Any, location: Location) -> tuple[str, str]:
    if location == ("spec", "training", "nodes") and isinstance(value, dict) and value.keys() == {"min", "max"}:
        return "this is a range, and a whole number is due", f"write nodes: {value['max']} and minNodes: {value['min']}"
    return _number({"whole": True}, value, location)


def _text(_context: dict[str, Any], value: Any, location: Location) -> tuple[str, str]:
    if isinstance(value, int | float):
        return f"{_shown(value)} is not text", f"write it in quotes: '{_shown(value)}'"
    return f"{_shown(value)} is not text", f"write {_example(location) or 'text'}"


def _list(_context: dict[str, Any], value: Any, _location: Location) -> tuple[str, str]:
    example = "a list" if isinstance(value, dict) else f"[{_shown(value).strip(chr(34))}]"
    return f"{_shown(value)} is not a list", f"write {example}"


def _group(_context: dict[str, Any], value: Any, location: Location) -> tuple[str, str]:
    names = [field.path[-1] for field in fields_in(location)]
    return f"{_shown(value)} is not a group of fields", f"write fields in it, such as {_or(names[:3])}"


def _map(_context: dict[str, Any], value: Any, _location: Location) -> tuple[str, str]:
    return f"{_shown(value)} is not a group of keys and values", "write {key: value}"


def _pattern(context: dict[str, Any], value: Any, _location: Location) -> tuple[str, str]:
    return f"{_shown(value)} has the wrong form", FORMS[context["pattern"]]


def _many(context: dict[str, Any], value: Any, _location: Location) -> tuple[str, str]:
    kind = "list" if isinstance(value, list) else "map"
    return f"the {kind} has {len(value)} items", f"write at most {context['max_length']}"


def _bound(adjective: str, words: str, key: str) -> Sentence:
    def sentence(context: dict[str, Any], value: Any, _location: Location) -> tuple[str, str]:
        bound = context[key]
        plain = int(bound) if bound == int(bound) else bound
        return f"{_shown(value)} is {adjective}", f"write {words} {plain}"

    return sentence


_SENTENCES: dict[str, Sentence] = {
    "missing": _missing,
    "extra_forbidden": lambda _c, _v, location: ("there is no such field", instead_of(location)),
    "invalid_key": lambda _c, _v, location: (f"{location[-1]} is not a name", "write the name of a field"),
    "literal_error": _choice,
    "int_type": _whole_number,
    "int_from_float": _whole_number,
    "float_type": _number,
    "bool_type": lambda _c, value, _l: (f"{_shown(value)} is neither true nor false", "write true or false"),
    "string_type": _text,
    "string_pattern_mismatch": _pattern,
    "string_too_short": lambda _c, _v, location: (
        "the text is empty",
        f"write {_example(location) or 'one'}",
    ),
    "string_too_long": lambda c, value, _l: (
        f"the text has {len(value)} characters",
        f"write at most {c['max_length']}",
    ),
    "list_type": _list,
    "too_short": lambda c, _v, _l: ("the list is empty", f"write at least {c['min_length']} in it"),
    "too_long": _many,
    "dict_type": _map,
    "model_type": _group,
    "greater_than_equal": _bound("too small", "at least", "ge"),
    "greater_than": _bound("too small", "more than", "gt"),
    "less_than_equal": _bound("too large", "at most", "le"),
    "less_than": _bound("too large", "less than", "lt"),
}
"""By pydantic's kind of error; a test makes every kind that the models can give."""


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _or(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
