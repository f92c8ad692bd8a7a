"""Values as Kubernetes writes them: amounts, names and labels, bounded so that rules over them stay cheap."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from mtj_api.spec.base import Rule, checked_by

_PREFIX, _NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/", r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"

QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
DNS_LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
OBJECT_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
QUALIFIED_NAME = f"^({_PREFIX})?{_NAME}$"
EXTENDED_RESOURCE = f"^{_PREFIX}{_NAME}$"
DATA_KEY = "^[-._a-zA-Z0-9]+$"
VARIABLE_NAME = "^[A-Za-z_][A-Za-z0-9_]*$"
MOUNT_PATH = "^(/[^/:]+)+$"
IMAGE = r"^\S+$"

_FACTORS = {"m": Fraction(1, 1000), "": Fraction(1)}
_FACTORS |= {letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)}
_FACTORS |= {f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)}


def _as_text(value: Any) -> Any:
    """A whole number as the amount that it is to Kubernetes; anything else as it stands."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    StringConstraints(max_length=32, pattern=QUANTITY),
    BeforeValidator(_as_text),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "minimum": 0, "maxLength": 32, "pattern": QUANTITY}),
]
"""An amount as Kubernetes writes it: ``4``, ``500m``, ``16Gi``. A whole number needs no quotes."""

ObjectName = Annotated[str, StringConstraints(max_length=253, pattern=OBJECT_NAME)]
"""The name of another object of Kubernetes."""

DnsLabel = Annotated[str, StringConstraints(max_length=63, pattern=DNS_LABEL)]
"""A name that may be a part of a host name."""

LabelValue = Annotated[str, StringConstraints(max_length=63, pattern=LABEL_VALUE)]
"""The value of a label or taint; it may be empty."""

QualifiedName = Annotated[str, StringConstraints(max_length=317, pattern=QUALIFIED_NAME)]
"""The key of a label or taint: a name, perhaps with a domain before it, as ``example.com/pool``."""

ExtendedResource = Annotated[str, StringConstraints(max_length=317, pattern=EXTENDED_RESOURCE)]
"""What a device plugin offers, which has a domain: ``nvidia.com/gpu``."""

DataKey = Annotated[str, StringConstraints(max_length=253, pattern=DATA_KEY)]
"""The key of a value in a Secret or ConfigMap."""

VariableName = Annotated[str, StringConstraints(max_length=128, pattern=VARIABLE_NAME)]
"""The name of an environment variable."""

MountPath = Annotated[str, StringConstraints(max_length=512, pattern=MOUNT_PATH)]
"""A folder of a container."""

Image = Annotated[str, StringConstraints(max_length=512, pattern=IMAGE)]
"""The image of a container."""

KEY_RULE = Rule(
    f"self.all(k, k.matches('{QUALIFIED_NAME}'))",
    lambda values: all(re.fullmatch(QUALIFIED_NAME, key) for key in values),
    "a key has the wrong form; write letters, digits, '-', '_' and '.', perhaps after a domain and '/', such as "
    "example.com/pool",
)

Labels = Annotated[dict[str, LabelValue], Field(max_length=32), checked_by(KEY_RULE)]
"""Labels by their keys."""

Annotations = Annotated[
    dict[str, Annotated[str, StringConstraints(max_length=1024)]], Field(max_length=32), checked_by(KEY_RULE)
]
"""Annotations by their keys."""


def amount(quantity: str) -> Fraction:
    """What a ``Quantity`` comes to, exactly: cores, or bytes."""
    number = quantity.rstrip("mkMGTPEKi")
    return Fraction(number) * _FACTORS[quantity.removeprefix(number)]
