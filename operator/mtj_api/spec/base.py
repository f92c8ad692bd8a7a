"""What every part of the spec shares: camelCase names, no unknown fields, derived fields, and rules in CEL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

DERIVED = "x-mtj-derived"

Url = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
"""``s3://bucket/prefix``, ``file:///folder`` or a path, which is relative to the working directory."""


def derived(**constraints: Any) -> Any:
    """A field without a fixed default: ``None`` until ``mtj_api.resolve`` has filled it in."""
    return Field(default=None, json_schema_extra={DERIVED: True}, **constraints)


@dataclass(frozen=True)
class Rule:
    """A rule over several fields, said twice: in CEL for the API server and in Python for ``mtj``.

    Attributes:
        cel: the expression, over ``self`` in camelCase, that must be true.
        holds: the same over the pydantic model.
        message: what to write instead.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str


class SpecModel(BaseModel):
    """Base of every part of the spec."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.RULES:
            if not rule.holds(self):
                raise ValueError(rule.message)
        return self
