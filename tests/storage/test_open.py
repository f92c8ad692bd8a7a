"""Which URLs name which storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtj_api import JobError
from mtj_trainer.storage import open_storage


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("music", "{}/music"),
        ("./music/", "{}/music"),
        ("/music", "/music"),
        ("~/music", "{}/home/music"),
        ("100% music #1", "{}/100% music #1"),
        ("file:///music", "/music"),
        ("file:///my%20music/%231/", "/my music/#1"),
        ("file:///my music/#1", "/my music/#1"),
        ("file://localhost/music", "/music"),
    ],
)
def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", f"{tmp_path}/home")
    storage = open_storage(url)
    assert str(storage.local_path()) == path.format(tmp_path)
    assert open_storage(storage.url).local_path("a") == Path(path.format(tmp_path)) / "a"


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("s3://music", "s3://music"),
        ("s3://music/", "s3://music"),
        ("S3://music/raw/chorales/", "s3://music/raw/chorales"),
        ("s3://music/100% #1?", "s3://music/100% #1?"),
    ],
)
def test_a_bucket(url: str, same: str) -> None:
    storage = open_storage(url)
    assert storage.url == same
    assert storage.local_path("a") is None
    assert storage.child("a").url == f"{same}/a"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("s3://", "s3://: an s3:// URL needs a bucket; write s3://bucket/prefix"),
        ("s3:///x", "s3:///x: an s3:// URL needs a bucket; write s3://bucket/prefix"),
        (
            "s3://music/a//b",
            "s3://music/a//b: a prefix has no empty part, none of dots and no control character; write s3://bucket/prefix",
        ),
        ("file://music", "file://music: a file:// URL needs a whole path; write file:///folder, or just a path"),
        ("gs://music", "gs://music: no storage for gs://; write s3://bucket/prefix, file:///folder or a path"),
    ],
)
def test_a_url_that_names_nothing(url: str, sentence: str) -> None:
    with pytest.raises(JobError) as error:
        open_storage(url)
    assert str(error.value) == sentence
