"""What each image is made of, and so what it is called.

Invariant: an image that is there under its name has the content that its name says, so it is not built again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
REGISTRY = "localhost"


@dataclass(frozen=True)
class Image:
    """What an image is made of.

    Attributes:
        name: without the registry and the tag.
        dockerfile: below the checkout.
        parts: the files and folders that it copies, below the checkout.
        target: the stage of the Dockerfile that it is; empty for the last.
        megabytes: the most that it may have; 0 for any number.
    """

    name: str
    dockerfile: str
    parts: tuple[str, ...] = ()
    target: str = ""
    megabytes: int = 0

    @property
    def files(self) -> list[Path]:
        """All that it is made of beside its base."""
        folders = [CHECKOUT / part for part in self.parts]
        inside = [path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*"))]
        sources = sorted(path for path in inside if path.is_file() and "__pycache__" not in path.parts)
        return [CHECKOUT / self.dockerfile, *sources]

    def tagged(self, base: str) -> str:
        """What it is called on a base."""
        content = (
            part for file in self.files for part in (str(file.relative_to(CHECKOUT)).encode(), file.read_bytes())
        )
        return f"{REGISTRY}/{self.name}:{digest([base.encode(), *content])}"


_CODE = ("images/install-uv", "images/mtj", "requirements/uv.txt", "operator/mtj_api", "operator/mtj_operator")

OPERATOR = Image("mtj-operator", "images/operator.Dockerfile", (*_CODE, "requirements/operator.txt"), megabytes=200)
TRAINER = Image(
    "mtj-trainer",
    "images/trainer.Dockerfile",
    (*_CODE, "images/install-trainer", "pyproject.toml", "requirements/all.txt", "trainer/mtj_trainer"),
)
TRAINER_CPU = replace(TRAINER, name="mtj-trainer-cpu")
TRAINER_SYSTEM = Image("mtj-test-trainer", "images/trainer.Dockerfile", target="system")
"""The trainer without its Python packages, for a cluster that has these from its machine."""


def digest(parts: Iterable[bytes]) -> str:
    """A short name for a content."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()[:16]
