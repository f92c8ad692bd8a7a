"""An image's name follows from all that goes into it."""

from __future__ import annotations

import shlex

import pytest

from imagebuild.recipes import CHECKOUT, OPERATOR, TRAINER, TRAINER_SYSTEM, Image, digest


def copied(image: Image) -> set[str]:
    """What its Dockerfile takes from the checkout."""
    text = (CHECKOUT / image.dockerfile).read_text().replace("\\\n", " ")
    if image.target:
        text = text.partition(f" AS {image.target}")[2].partition("\nFROM ")[0]
    words = [shlex.split(line) for line in text.splitlines() if line.startswith("COPY ")]
    return {source for line in words if not line[1].startswith("--from") for source in line[1:-1]}


@pytest.mark.parametrize("image", [OPERATOR, TRAINER, TRAINER_SYSTEM], ids=lambda image: image.name)
def test_all_that_a_dockerfile_copies_is_in_the_name(image: Image) -> None:
    assert set(image.parts) == copied(image)


def test_a_name_changes_with_the_base_and_keeps_its_repository() -> None:
    one, other = OPERATOR.tagged("base:1"), OPERATOR.tagged("base:2")
    assert one != other
    assert one.rpartition(":")[0] == other.rpartition(":")[0] == "localhost/mtj-operator"


def test_a_digest_knows_where_its_parts_end() -> None:
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"])
    assert digest([b"ab", b"c"]) == digest([b"ab", b"c"])


@pytest.mark.parametrize("image", [OPERATOR, TRAINER], ids=lambda image: image.name)
def test_an_image_runs_without_root(image: Image) -> None:
    lines = (CHECKOUT / image.dockerfile).read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER 65532:65532"
