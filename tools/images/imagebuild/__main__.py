"""``python -m imagebuild``: build the images that are released, try each, and print its size and what is in it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from imagebuild import buildah, contents, smoke
from imagebuild.container import Container, container
from imagebuild.recipes import OPERATOR, TRAINER, Image

TRIALS = {OPERATOR: smoke.try_operator, TRAINER: smoke.try_trainer}


def main() -> None:
    parser = argparse.ArgumentParser(prog="imagebuild", description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="operator or trainer; both where none is named")
    parser.add_argument(
        "--base", help="the image that they are built on; a small Debian of our own where it is left out"
    )
    parser.add_argument("--accelerator", choices=("cuda", "cpu"), default="cuda", help="of the trainer")
    arguments = parser.parse_args()
    wanted = {image: trial for image, trial in TRIALS.items() if _is_named(image, arguments.images)}
    try:
        if os.geteuid() != 0:
            raise RuntimeError("images are built and tried in namespaces, which only root may make: use sudo")
        base = arguments.base or buildah.base()
        for image, trial in wanted.items():
            more = {"ACCELERATOR": arguments.accelerator} if image is TRAINER else {}
            (name,) = buildah.build([image], base, **more)
            with container(name) as tried:
                trial(tried)
                print(_summary(image, name, tried), flush=True)
    except RuntimeError as error:
        sys.exit(f"error: {error}")


def _is_named(image: Image, names: list[str]) -> bool:
    return not names or image.name.removeprefix("mtj-") in names


def _summary(image: Image, name: str, tried: Container) -> str:
    """Name, size and packages of an image.

    Raises:
        RuntimeError: it is larger than it may be, or cannot say what is in it.
    """
    size = json.loads(buildah.run([*buildah.BUILDAH, "images", "--json", name]))[0]["size"]
    listed = tried.run("python3", "-", stdin=Path(contents.__file__).read_text())
    if listed.returncode != 0:
        raise RuntimeError(f"the packages of {name} cannot be listed:\n{listed.stderr}")
    megabytes = float(size.split()[0]) * {"KB": 0.001, "MB": 1, "GB": 1000}[size.split()[1].upper()]
    if image.megabytes and megabytes >= image.megabytes:
        raise RuntimeError(f"{name} has {size}, and is to stay under {image.megabytes} MB")
    return f"\n{name}: {size}\n\n{_table(listed.stdout)}"


def _table(lines: str) -> str:
    rows = [line.split("\t") for line in lines.splitlines()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"  {name:{widths[0]}}  {version:{widths[1]}}  {licence}" for name, version, licence in rows)


if __name__ == "__main__":
    main()
