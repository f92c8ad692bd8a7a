"""What a package says of its licence, in each of the ways in which packages say it."""

from __future__ import annotations

from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from imagebuild.contents import licence, rows


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["License-Expression: MIT OR Apache-2.0", "Classifier: License :: OSI Approved :: MIT License"],
         "MIT OR Apache-2.0"),
        (["Classifier: License :: OSI Approved :: BSD License", "License: BSD 3-Clause"], "BSD License"),
        (["Classifier: License :: OSI Approved :: MIT License", "Classifier: License :: Public Domain"],
         "MIT License, Public Domain"),
        (["License: Apache 2.0"], "Apache 2.0"),
        (["License: Copyright (c) 2020", "        All rights reserved"], "Copyright (c) 2020"),
        (["Classifier: Programming Language :: Python"], "unknown"),
    ],
)  # fmt: skip
def test_a_licence_is_what_the_package_says(tmp_path: Path, lines: list[str], expected: str) -> None:
    folder = tmp_path / "tune-1.0.dist-info"
    folder.mkdir()
    head = ["Metadata-Version: 2.4", "Name: tune", "Version: 1.0"]
    (folder / "METADATA").write_text("\n".join([*head, *lines]) + "\n\n")
    assert licence(PathDistribution(folder)) == expected


def test_every_package_has_a_row() -> None:
    found = {name.lower(): version for name, version, _ in rows()}
    assert found["pydantic"].startswith("2.")
