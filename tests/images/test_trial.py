"""The operator's image, built and tried as by `make images`; the trainer's takes gigabytes, and is left to that."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from imagebuild import buildah, smoke
from imagebuild.__main__ import size_of
from imagebuild.container import Container, container
from imagebuild.recipes import OPERATOR

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="images are built in namespaces, which need root"),
    pytest.mark.skipif(shutil.which("buildah") is None, reason="images are built with buildah"),
]


@pytest.fixture(scope="module")
def image() -> str:
    (name,) = buildah.build([OPERATOR])
    return name


@pytest.fixture
def operator(image: str) -> Iterator[Container]:
    with container(image) as found:
        yield found


def test_the_operator_starts_in_its_image(operator: Container) -> None:
    smoke.try_operator(operator)


def test_the_image_is_small(image: str) -> None:
    assert size_of(image) < OPERATOR.megabytes


def test_a_container_is_nobody_and_may_write_to_its_work_folder_alone(operator: Container) -> None:
    who = operator.run("python3", "-c", "import os; print(os.getuid(), os.getgid())")
    assert who.stdout.split() == ["65532", "65532"]
    assert operator.run("touch", "/work/here").returncode == 0
    refused = operator.run("touch", "/opt/mtj/here")
    assert (refused.returncode, "Read-only file system" in refused.stderr) == (1, True)
