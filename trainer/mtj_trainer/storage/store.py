"""A folder or a bucket prefix, with the few operations that the stages need; obstore does the work.

Invariant: a key holds all of a write or none of it. A reader never sees half a file, whatever dies when.
S3 is configured by the usual variables: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import LocalStore, S3Store

from mtj_api import JobError


@dataclass(frozen=True)
class Entry:
    """A stored file: its key, its size in bytes, and a text that changes when its content does."""

    key: str
    size: int
    version: str


class Storage:
    """What lies under a URL. Keys are relative, with ``/`` between their parts."""

    def __init__(self, url: str, store: Any, root: Path | None, prefix: str) -> None:
        self.url = url
        self._store = store
        self._root = root
        self._prefix = prefix

    def read(self, key: str) -> bytes:
        """The whole content; ``FileNotFoundError`` where there is none."""
        return bytes(obstore.get(self._store, self._key(key)).bytes())

    def write(self, key: str, data: bytes | Path) -> None:
        """Store ``data``, or the content of the file that it names, under ``key``, all or nothing."""
        obstore.put(self._store, self._key(key), data)

    def fetch(self, key: str, into: Path) -> Path:
        """Copy to the local file ``into``, which appears only when it is complete."""
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=into.parent, prefix=f".{into.name}.", delete=False) as partial:
            try:
                for chunk in obstore.get(self._store, self._key(key)).stream(min_chunk_size=8 << 20):
                    partial.write(chunk)
                partial.close()
                Path(partial.name).replace(into)
            except BaseException:
                Path(partial.name).unlink(missing_ok=True)
                raise
        return into

    def exists(self, key: str) -> bool:
        try:
            obstore.head(self._store, self._key(key))
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every file whose key begins with the folder ``prefix``, in the order of keys."""
        below = self._key(prefix) or None
        entries = [
            Entry(
                item["path"][len(self._prefix) + 1 if self._prefix else 0 :],
                item["size"],
                str(item["e_tag"] or item["last_modified"].isoformat()),
            )
            for chunk in obstore.list(self._store, below)
            for item in chunk
        ]
        yield from sorted(entries, key=lambda entry: entry.key)

    def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        try:
            obstore.delete(self._store, self._key(key))
        except FileNotFoundError:
            return

    def delete_tree(self, prefix: str) -> None:
        """Remove every file below the folder ``prefix``."""
        for entry in self.list(prefix):
            self.delete(entry.key)
        if self._root is not None:
            shutil.rmtree(self._root / prefix, ignore_errors=True)

    def local_path(self, key: str) -> Path | None:
        """The file itself where the storage is a folder on this machine."""
        return None if self._root is None else self._root / key

    def child(self, prefix: str) -> Storage:
        """The storage below a folder of this one."""
        root = None if self._root is None else self._root / prefix
        if root is not None:
            return _folder(root)
        return Storage(f"{self.url}/{prefix}", self._store, None, self._key(prefix))

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}".strip("/") if self._prefix else key.strip("/")


def open_storage(url: str) -> Storage:
    """The storage at ``s3://bucket/prefix``, ``file:///folder`` or a path; a folder is made when first written.

    Raises:
        JobError: the URL has another scheme, or no bucket.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        if not parts.netloc:
            raise JobError("an s3:// URL needs a bucket", where=url, instead="write s3://bucket/prefix")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        plain = bool(endpoint and endpoint.startswith("http://"))
        store = S3Store(parts.netloc, client_options={"allow_http": plain})
        return Storage(url.rstrip("/"), store, None, parts.path.strip("/"))
    if parts.scheme == "file":
        return _folder(Path(unquote(parts.path)))
    if "://" in url:
        raise JobError(
            f"no storage for {parts.scheme}://", where=url, instead="write s3://bucket/prefix, file:///folder or a path"
        )
    return _folder(Path(url))


def _folder(path: Path) -> Storage:
    root = path.absolute()
    return Storage(f"file://{root}", LocalStore(root, mkdir=True), root, "")
