"""A prefix of an S3 bucket; obstore does the work.

Configured by the usual variables: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and
those of web identities and instance roles.

Invariant: what goes wrong is told in one sentence that has no credential in it, within a bounded time.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from mtj_api import JobError
from mtj_trainer.storage.atomic import atomic_file
from mtj_trainer.storage.store import Entry, Storage, StorageUnavailable, below, checked

RETRY_SECONDS = 30.0
"""How long a request that fails for reasons that may pass is tried again."""

_PART = 8 << 20
_MOST_PARTS = 9_000
"""S3 takes 10,000 parts of an upload."""

_READ_TIMEOUT = timedelta(seconds=60)
_REQUEST_TIMEOUT = timedelta(hours=6)
"""For a whole request, which for a large file is long; a stalled one ends by the read timeout."""

_FULL = ("QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull")
"""What Ceph and MinIO answer when a bucket's quota is used up, or the disks are: some with 403, and yet it passes."""

_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


class S3Storage(Storage):
    """The objects of a bucket whose names begin with a prefix."""

    def __init__(self, bucket: str, prefix: str = "", *, retry_seconds: float = RETRY_SECONDS) -> None:
        self.url = f"s3://{below(bucket, prefix)}"
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self._retry_seconds = retry_seconds
        self._endpoint = _endpoint()
        with self._explained(""):
            self._store = S3Store(
                bucket,
                client_options={
                    "allow_http": self._endpoint.startswith("http://"),
                    "read_timeout": _READ_TIMEOUT,
                    "timeout": _REQUEST_TIMEOUT,
                },
                retry_config={"retry_timeout": timedelta(seconds=retry_seconds)},
                **({"endpoint": self._endpoint} if self._endpoint else {}),
            )

    def read(self, key: str) -> bytes:
        with self._explained(key):
            return bytes(obstore.get(self._store, self._name(key)).bytes())

    def write(self, key: str, data: bytes | Path) -> None:
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        part = max(_PART, -(-size // _MOST_PARTS))
        with self._explained(key):
            obstore.put(self._store, self._name(checked(key)), data, chunk_size=part, max_concurrency=4)

    def fetch(self, key: str, into: Path, on_piece: Callable[[], None] = lambda: None) -> Path:
        with self._explained(key):
            content = obstore.get(self._store, self._name(key))
        with atomic_file(into) as file:
            chunks = iter(content.stream(min_chunk_size=_PART))
            while True:
                with self._explained(key):
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                file.write(chunk)
                on_piece()
        return into

    def exists(self, key: str) -> bool:
        try:
            with self._explained(key):
                obstore.head(self._store, self._name(key))
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[Entry]:
        skip = len(self._prefix) + 1 if self._prefix else 0
        with self._explained(prefix):
            found = [
                Entry(item["path"][skip:], item["size"], str(item["e_tag"] or item["last_modified"].isoformat()))
                for chunk in obstore.list(self._store, self._name(prefix) or None)
                for item in chunk
            ]
        files = [entry for entry in found if entry.size or self._is_file(entry.key)]
        yield from sorted(files, key=lambda entry: entry.key)

    def delete(self, key: str) -> None:
        try:
            with self._explained(key):
                obstore.delete(self._store, self._name(key))
        except FileNotFoundError:
            return

    def delete_tree(self, prefix: str) -> None:
        names = [self._name(entry.key) for entry in self.list(prefix)]
        if names:
            with self._explained(prefix):
                obstore.delete(self._store, names)

    def local_path(self, key: str = "") -> None:  # noqa: ARG002
        return None

    def child(self, prefix: str) -> S3Storage:
        return S3Storage(self._bucket, below(self._prefix, prefix), retry_seconds=self._retry_seconds)

    def _is_file(self, key: str) -> bool:
        """Whether what is listed as empty is a file. Where other tools make a folder, they store an empty object whose
        name ends with a slash. obstore leaves the slash out, and nothing has the name that remains."""
        return bool(key) and self.exists(key)

    def _name(self, key: str) -> str:
        return below(self._prefix, key)

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """Turn obstore's errors, which quote whole requests, into a sentence; hence no ``from error``."""
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._no_bucket() from None
            raise FileNotFoundError(errno.ENOENT, "no such file", f"{self.url}/{key}") from None
        except (BaseError, PermissionError) as error:
            raise self._explain(key, str(error)) from None

    def _no_bucket(self) -> JobError:
        return JobError(f"there is no bucket {self._bucket}", where=self.url, instead="create it, or name another")

    def _explain(self, key: str, message: str) -> JobError:
        where = f"{self.url}/{key}".rstrip("/")
        codes = re.findall(r"<Code>(\w+)</Code>", message) + re.findall(r"status code: (\d{3})", message)
        code = codes[0] if codes else ""
        if code == "NoSuchBucket":
            return self._no_bucket()
        if "invalid path" in message:
            return JobError(
                "there are files here whose names have an empty part, as in a//b, or one of dots",
                where=where,
                instead="rename them, or move them elsewhere",
            )
        if "169.254." in message or "CredentialsProvider" in message:
            return JobError("there are no S3 credentials", where=where, instead=_CREDENTIALS)
        if "configured region" in message:
            return JobError("the bucket is in another region", where=where, instead="set AWS_REGION to it")
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "401"):
            return JobError(f"S3 refused the credentials ({code})", where=where, instead=_CREDENTIALS)
        if code in _FULL:
            return StorageUnavailable(
                f"the bucket is full ({code})", where=where, instead="make room, or raise its quota"
            )
        if code in ("AccessDenied", "403"):
            return JobError(
                f"S3 does not allow this ({code})",
                where=where,
                instead=f"{_CREDENTIALS} of an account that may read, list and write there",
            )
        if code and not code.startswith("5") and code not in ("InternalError", "ServiceUnavailable", "SlowDown"):
            return JobError(f"S3 refused this ({code})", where=where)
        place = _shown(self._endpoint) or "S3"
        reason = f"failed ({code})" if code else "cannot be reached"
        return StorageUnavailable(f"{place} {reason}", where=where, instead="check AWS_ENDPOINT_URL and the network")


def _endpoint() -> str:
    """Where the server is; empty for Amazon's own."""
    for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        endpoint = os.environ.get(variable, "")
        if endpoint:
            parts = urlsplit(endpoint)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise JobError(
                    "not the URL of a server", where=variable, instead="write http://host:port or https://host"
                )
            return endpoint
    return ""


def _shown(endpoint: str) -> str:
    """The URL without a user and password."""
    scheme, separator, rest = endpoint.partition("://")
    return scheme + separator + rest.rpartition("@")[2]
