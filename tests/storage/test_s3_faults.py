"""What a user reads when S3 cannot be used: one sentence, soon, without a credential in it."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from mtj_api import JobError
from mtj_trainer.storage import Storage, StorageUnavailable, open_storage
from mtj_trainer.storage.s3 import S3Storage
from support.seaweedfs import S3Server

ACTS: dict[str, Callable[[Storage], object]] = {
    "read": lambda storage: storage.read("a"),
    "write": lambda storage: storage.write("a", b"x"),
    "write-large": lambda storage: storage.write("a", b"x" * (9 << 20)),
    "fetch": lambda storage: storage.fetch("a", Path("a")),
    "list": lambda storage: list(storage.list()),
    "delete": lambda storage: storage.delete("a"),
    "delete-tree": lambda storage: storage.delete_tree("a"),
}
every_act = pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)


def fault(act: Callable[[Storage], object], storage: Storage) -> JobError:
    with pytest.raises(JobError) as raised:
        act(storage)
    assert "\n" not in str(raised.value)
    assert "secret" not in "".join(traceback.format_exception(raised.value))
    return raised.value


@every_act
def test_a_bucket_that_is_not_there(s3_server: S3Server, act: Callable[[Storage], object]) -> None:
    error = fault(act, open_storage("s3://nosuchbucket/prefix"))
    assert str(error) == "s3://nosuchbucket/prefix: there is no bucket nosuchbucket; create it, or name another"


@every_act
@pytest.mark.parametrize(
    ("variable", "code"),
    [("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch")],
)
def test_wrong_credentials(
    s3_url: str, monkeypatch: pytest.MonkeyPatch, act: Callable[[Storage], object], variable: str, code: str
) -> None:
    monkeypatch.setenv(variable, "a-wrong-secret")
    error = fault(act, open_storage(s3_url))
    assert error.what == f"S3 refused the credentials ({code})"
    assert error.where.startswith(s3_url)
    assert error.instead == "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def test_wrong_credentials_when_the_answer_has_no_body(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
    error = fault(lambda storage: storage.exists("a"), open_storage(s3_url))
    assert error.what == "S3 does not allow this (403)"


@every_act
def test_an_endpoint_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, act: Callable[[Storage], object]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:secret@127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        error = fault(act, S3Storage("music", "prefix", retry_seconds=0.2))
    assert isinstance(error, StorageUnavailable)
    assert error.what == f"http://127.0.0.1:{port} cannot be reached"
    assert error.where.startswith("s3://music/prefix")


@pytest.mark.parametrize("endpoint", ["not a url", "localhost:8333", "http://", "ftp://host"])
def test_an_endpoint_that_is_no_url(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(JobError) as error:
        open_storage("s3://music")
    assert str(error.value) == "AWS_ENDPOINT_URL: not the URL of a server; write http://host:port or https://host"
