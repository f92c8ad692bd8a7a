"""From a URL to the storage below it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from mtj_api import JobError
from mtj_trainer.storage.folder import FolderStorage
from mtj_trainer.storage.s3 import S3Storage
from mtj_trainer.storage.store import Storage, checked


def open_storage(url: str) -> Storage:
    """The storage at ``s3://bucket/prefix``, ``file:///folder`` or a path; nothing is made or asked for yet.

    Raises:
        JobError: the URL has another scheme, no bucket, a prefix that no file can lie below, or no whole path.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return FolderStorage(Path(url))
    if scheme.lower() == "s3":
        bucket, _, prefix = rest.partition("/")
        if not bucket:
            raise JobError("an s3:// URL needs a bucket", where=url, instead="write s3://bucket/prefix")
        _check_prefix(prefix.strip("/"), url)
        return S3Storage(bucket, prefix)
    if scheme.lower() == "file":
        path = rest.removeprefix("localhost")
        if not path.startswith("/"):
            raise JobError(
                "a file:// URL needs a whole path", where=url, instead="write file:///folder, or just a path"
            )
        return FolderStorage(Path(unquote(path)))
    raise JobError(
        f"no storage for {scheme}://", where=url, instead="write s3://bucket/prefix, file:///folder or a path"
    )


def _check_prefix(prefix: str, url: str) -> None:
    try:
        checked(prefix or "any")
    except ValueError:
        raise JobError(
            "a prefix has no empty part, none of dots and no control character",
            where=url,
            instead="write s3://bucket/prefix",
        ) from None
