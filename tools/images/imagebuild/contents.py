"""Lists the Python packages of the interpreter that runs this, with their licences, as tab-separated lines.

It is run inside an image, of which it may import nothing but Python's own library.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import Distribution, distributions
from typing import cast

_CLASSIFIER = "License :: "
_LONGEST = 60


def licence(package: Distribution) -> str:
    """What a package says of its licence, in its newest form that is there; ``unknown`` where it says nothing."""
    said = cast(Message, package.metadata)  # which it is, though its type knows less
    if expression := said.get("License-Expression"):
        return expression
    classified = [
        text.rpartition(" :: ")[2] for text in said.get_all("Classifier") or () if text.startswith(_CLASSIFIER)
    ]
    if classified:
        return ", ".join(classified)
    first = (said.get("License") or "").strip().partition("\n")[0]
    return first[:_LONGEST] or "unknown"


def rows() -> Iterator[tuple[str, str, str]]:
    """Name, version and licence of each package, by name."""
    found = {package.metadata["Name"]: package for package in distributions()}
    for name in sorted(found, key=str.lower):
        yield name, found[name].version, licence(found[name])


if __name__ == "__main__":
    sys.stdout.writelines("\t".join(row) + "\n" for row in rows())
