"""``python -m imagebuild``: build the images that are released, try each, and print its size and what is in it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from imagebuild import buildah, contents, smoke
from imagebuild.container import Container, container
from imagebuild.recipes import OPERATOR, TRAINER, TRAINER_CPU, Image

_UNITS = {"B": 1e-6, "KB": 1e-3, "MB": 1.0, "GB": 1e3}

NAMES = ("operator", "trainer")


def main() -> None:
    parser = argparse.ArgumentParser(prog="imagebuild", description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="operator or trainer; both where none is named")
    parser.add_argument("--base", default="", help="what they are built on; a small Debian of our own if left out")
    parser.add_argument("--accelerator", choices=("cuda", "cpu"), default="cuda", help="of the trainer")
    arguments = parser.parse_args()
    if unknown := set(arguments.images) - set(NAMES):
        parser.error(f"there is no image {' or '.join(sorted(unknown))}; there are {' and '.join(NAMES)}")
    try:
        if os.geteuid() != 0:
            raise RuntimeError("images are built and tried in namespaces, which only root may make: use sudo")
        for name in arguments.images or NAMES:
            if name == "operator":
                _make(OPERATOR, smoke.try_operator, arguments.base)
            elif arguments.accelerator == "cuda":
                _make(TRAINER, smoke.try_trainer, arguments.base, ACCELERATOR="cuda")
            else:
                _make(TRAINER_CPU, smoke.try_trainer, arguments.base, ACCELERATOR="cpu")
    except RuntimeError as error:
        sys.exit(f"error: {error}")


def _make(image: Image, trial: Callable[[Container], None], base: str, **arguments: str) -> None:
    (name,) = buildah.build([image], base, **arguments)
    with container(name) as tried:
        trial(tried)
        print(_summary(image, name, tried), flush=True)


def size_of(name: str) -> float:
    """Of an image, unpacked and with its base, in millions of bytes."""
    told: str = json.loads(buildah.run([*buildah.BUILDAH, "images", "--json", name]))[0]["size"]
    number, unit = told.split()
    return float(number) * _UNITS[unit]


def _summary(image: Image, name: str, tried: Container) -> str:
    """Name, size and packages of an image.

    Raises:
        RuntimeError: it is larger than it may be, or cannot say what is in it.
    """
    size = size_of(name)
    listed = tried.run("python3", "-", stdin=Path(contents.__file__).read_text())
    if listed.returncode != 0:
        raise RuntimeError(f"the packages of {name} cannot be listed:\n{listed.stderr}")
    if image.megabytes and size >= image.megabytes:
        raise RuntimeError(f"{name} has {size:.0f} MB, and is to stay under {image.megabytes} MB")
    return f"\n{name}: {size:.0f} MB\n\n{_table(listed.stdout)}"


def _table(lines: str) -> str:
    rows = [line.split("\t") for line in lines.splitlines()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"  {name:{widths[0]}}  {version:{widths[1]}}  {licence}" for name, version, licence in rows)


if __name__ == "__main__":
    main()
