"""What every part of the spec shares: camelCase names, no unknown fields, derived fields, and rules in CEL.

Invariant: whatever Python refuses, the API server refuses too, by the schema that ``mtj_api.crd`` makes of the
same declarations: ``Rule`` and the types here each say a thing once for both. Only an ``Edit`` is the API server's
alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

DERIVED = "x-mtj-derived"


def derived(**constraints: Any) -> Any:
    """A field without a fixed default: ``None`` until ``mtj_api.resolve`` has filled it in."""
    return Field(default=None, json_schema_extra={DERIVED: True}, **constraints)


@dataclass(frozen=True)
class Rule:
    """A rule over several fields, said twice: in CEL for the API server and in Python for ``mtj``.

    Attributes:
        cel: the expression, over ``self`` in camelCase, that must be true.
        holds: the same over the pydantic model, or over the value itself for a rule on a type.
        message: what is wrong and what to write instead.
        field: the camelCase path, below ``self``, of the field that the message is about; the whole where empty.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str
    field: str = ""


@dataclass(frozen=True)
class Edit:
    """A rule over what an edit may change, in CEL alone: a job in a file has no past to compare with.

    Attributes:
        cel: the expression, over ``self`` and ``oldSelf``, that must be true.
        message: what may not be changed and what to do instead.
        field: as of a ``Rule``.
    """

    cel: str
    message: str
    field: str = ""


def unchanged(field: str) -> str:
    """In CEL: an edit leaves a field of ``self`` as it is, there or not.

    Written with ``has``: the API server cannot tell how large an optional is, and takes comparing two for too costly.
    """
    return f"has(self.{field}) ? has(oldSelf.{field}) && self.{field} == oldSelf.{field} : !has(oldSelf.{field})"


class SpecModel(BaseModel):
    """Base of every part of the spec."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        defer_build=True,  # the whole job's validator is built once, not every part's besides: 40 ms of each `mtj`
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()
    EDITS: ClassVar[tuple[Edit, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.RULES:
            if not rule.holds(self):
                raise PydanticCustomError("rule", "{message}", {"message": rule.message, "field": rule.field})
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy that shares nothing that can change. Python's own way, which keeps track of what is shared within a
        value, takes ten times as long, and the operator copies each job as it plans it."""
        copied = self.__copy__()
        copied.__dict__.update({name: _copied(value) for name, value in self.__dict__.items()})
        return copied


def _copied(value: Any) -> Any:
    if isinstance(value, SpecModel):
        return value.__deepcopy__()
    if isinstance(value, list):
        return [_copied(item) for item in value]
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return value


@dataclass(frozen=True, eq=False)
class _Checked:
    """A check on one value, in Python and, as ``keywords``, in the CRD."""

    check: Callable[[Any], Any]
    keywords: tuple[tuple[str, Any], ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), **dict(self.keywords)}


def checked_by(rule: Rule) -> _Checked:
    """Marks a type whose values keep a rule."""

    def check(value: Any) -> Any:
        if not rule.holds(value):
            raise PydanticCustomError("rule", "{message}", {"message": rule.message, "field": rule.field})
        return value

    return _Checked(check, (("x-kubernetes-validations", [{"rule": rule.cel, "message": rule.message}]),))


def _distinct(values: list[Any]) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise _is_there_twice(value)
    return values


def _is_there_twice(value: Any) -> PydanticCustomError:
    return PydanticCustomError("rule", "{message}", {"message": f"{value} is there twice; keep one", "field": ""})


Distinct = _Checked(_distinct, (("x-kubernetes-list-type", "set"),))
"""Marks a list whose items are all different."""


def _named_once(items: list[Any]) -> list[Any]:
    names = [item.name for item in items]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise _is_there_twice(name)
    return items


NamedOnce = _Checked(_named_once, (("x-kubernetes-list-type", "map"), ("x-kubernetes-list-map-keys", ["name"])))
"""Marks a list of groups of which no two have the same ``name``; Kubernetes then merges it by name."""

_S3 = re.compile(r"s3://[A-Za-z0-9][-A-Za-z0-9._]*(/[^?]*)?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")

URL_RULE = Rule(
    "self.startsWith('s3://') ? self.matches('^s3://[A-Za-z0-9][-A-Za-z0-9._]*(/[^?]*)?$') : "
    "self.startsWith('file://') ? self.startsWith('file:///') : "
    "!self.matches('^[A-Za-z][A-Za-z0-9+.-]*:/')",
    lambda url: (
        _S3.fullmatch(url) is not None
        if url.startswith("s3://")
        else url.startswith("file:///")
        if url.startswith("file://")
        else _SCHEME.match(url) is None
    ),
    "no storage is known for this; write s3://bucket/prefix, file:///folder or a path",
)

Url = Annotated[str, StringConstraints(min_length=1, max_length=1024), checked_by(URL_RULE)]
"""``s3://bucket/prefix``, ``file:///folder`` or a path, which is relative to the working directory."""
