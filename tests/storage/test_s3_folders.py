"""A bucket that other tools have filled: folders that they mark by empty objects, and names that are no paths.

Neither can obstore make, nor would SeaweedFS keep the latter, so a server of a few lines stands in for S3 here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mtj_api import JobError
from mtj_trainer.storage import Storage, StorageUnavailable, open_storage
from mtj_trainer.storage.local import on_this_machine

OBJECT = (
    "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    '<ETag>"1"</ETag><Size>{}</Size></Contents>'
)
LISTED = (
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>music</Name><Prefix>base/</Prefix><IsTruncated>false</IsTruncated>{}</ListBucketResult>"
)


class Bucket(ThreadingHTTPServer):
    """Serves objects by their names."""

    daemon_threads = True
    objects: dict[str, bytes]


class Answer(BaseHTTPRequestHandler):
    server: Bucket

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        place, objects = urlsplit(self.path), self.server.objects
        name = place.path.removeprefix("/music/")
        if "list-type" in place.query:
            self._answer(LISTED.format("".join(OBJECT.format(name, len(objects[name])) for name in objects)).encode())
        elif name in objects:
            self._answer(objects[name])
        else:
            self._answer(b"<Error><Code>NoSuchKey</Code></Error>", HTTPStatus.NOT_FOUND)

    def _answer(self, body: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("ETag", '"1"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with Bucket(("127.0.0.1", 0), Answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "any")
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


@pytest.fixture
def storage(bucket: Bucket) -> Storage:
    return open_storage("s3://music/base")


def test_the_mark_of_a_folder_is_no_file(bucket: Bucket, storage: Storage, tmp_path: Path) -> None:
    marks = dict.fromkeys(("base/", "base/below/", "base/nothing in it/"), b"")
    bucket.objects = marks | {"base/config.json": b"{}", "base/below/empty": b""}
    files = ["below/empty", "config.json"]
    assert [entry.key for entry in storage.list()] == files
    with on_this_machine(storage, tmp_path) as folder:
        assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == files


def test_a_name_that_is_no_path_is_told_of_as_such(bucket: Bucket, storage: Storage) -> None:
    bucket.objects = {"base/config.json": b"{}", "base/below//x": b"1"}
    with pytest.raises(JobError, match="whose names have an empty part, as in a//b") as raised:
        list(storage.list())
    assert not isinstance(raised.value, StorageUnavailable), "another time it would be the same"
