"""Walking the tree of spec models by type: which fields there are, and under which path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mtj_api.spec.base import DERIVED


@dataclass(frozen=True)
class SpecField:
    """A field of the resource.

    Attributes:
        path: camelCase names from the root, as ``("spec", "model", "family")``; a list's items are ``[]``.
        owner: the model class that declares it.
        attribute: its name in Python.
        info: pydantic's description of it.
        model: the model class of its value (of its items, for a list of models), if it has one.
    """

    path: tuple[str, ...]
    owner: type[BaseModel]
    attribute: str
    info: FieldInfo
    model: type[BaseModel] | None

    @property
    def is_derived(self) -> bool:
        return is_derived(self.info)


def fields_of(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[SpecField]:
    """Every field below ``model``, depth first, in the order of declaration."""
    for attribute, info in model.model_fields.items():
        path = (*prefix, info.alias or attribute)
        child, is_list = model_inside(info.annotation)
        yield SpecField(path, model, attribute, info, child)
        if child is not None:
            yield from fields_of(child, (*path, "[]") if is_list else path)


def is_derived(info: FieldInfo) -> bool:
    """Whether ``mtj_api.resolve`` fills the field in."""
    return isinstance(info.json_schema_extra, dict) and DERIVED in info.json_schema_extra


def model_inside(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model class in ``X``, ``X | None``, ``list[X]`` or ``Annotated`` of these; whether in a list."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return model_inside(get_args(annotation)[0])
    if origin in (Union, UnionType):
        options = [a for a in get_args(annotation) if a is not NoneType]
        return model_inside(options[0]) if len(options) == 1 else (None, False)
    if origin is list:
        return model_inside(get_args(annotation)[0])[0], True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    return None, False
