"""A folder of this machine, or one that it has mounted.

Written on the standard library rather than obstore's ``LocalStore``, which lists nothing at all where one name
below the folder is not UTF-8 or has a control character, as in many an old collection of MIDI files.

Invariant: every name on the disk has a key and every key that is listed can be read. Bytes of a name that are
not UTF-8 appear in its key as U+EF80 to U+EFFF, so that keys are always text that can be stored.
"""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mtj_api import JobError
from mtj_trainer.storage.atomic import PARTIAL_SUFFIX, atomic_file
from mtj_trainer.storage.store import Entry, Storage, StorageUnavailable, below, checked

_CHUNK = 8 << 20
_MAY_PASS = (
    *(errno.ENOSPC, errno.EDQUOT),
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN),
    errno.ENOTEMPTY,
)
"""A full disk, a mounted one that is away, and a folder of NFS in which a deleted file is still open."""
_RAW_BYTES = 0xEF00
_SURROGATES = 0xDC00
_ESCAPED = re.compile("[\uef80-\uefff]")


class FolderStorage(Storage):
    """The files below a folder, which is made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()
        self.url = self._root.as_uri()

    def read(self, key: str) -> bytes:
        with self._explained(key, "read"):
            return self._path(key).read_bytes()

    def write(self, key: str, data: bytes | Path) -> None:
        path = self._path(checked(key))
        content = data.open("rb") if isinstance(data, Path) else io.BytesIO(data)
        with content, self._explained(key, "write"), atomic_file(path) as file:
            shutil.copyfileobj(content, file, _CHUNK)

    def fetch(self, key: str, into: Path, on_piece: Callable[[], None] = lambda: None) -> Path:
        with self._explained(key, "read"):
            source = self._path(key).open("rb")
        with source, atomic_file(into) as file:
            while piece := source.read(_CHUNK):
                file.write(piece)
                on_piece()
        return into

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def list(self, prefix: str = "") -> Iterator[Entry]:
        with self._explained(prefix, "list"):
            folder = self._path(prefix)
            found = sorted(_files(folder, prefix.strip("/"), _above(folder)), key=lambda entry: entry.key)
        yield from found

    def delete(self, key: str) -> None:
        with self._explained(key, "delete"), suppress(FileNotFoundError, NotADirectoryError):
            self._path(key).unlink()

    def delete_tree(self, prefix: str) -> None:
        with self._explained(prefix, "delete"), suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(self._path(prefix))

    def local_path(self, key: str = "") -> Path:
        return self._path(key)

    def child(self, prefix: str) -> FolderStorage:
        return FolderStorage(self._path(prefix))

    def _path(self, key: str) -> Path:
        parts = [_name(part) for part in key.strip("/").split("/")]
        if ".." in parts or "\0" in key:
            raise ValueError(f"not a key of a file: {key!r}")
        return self._root.joinpath(*parts)

    @contextmanager
    def _explained(self, key: str, doing: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            if doing != "read":
                raise JobError(f"cannot {doing} this ({error.strerror})", where=self._shown(key)) from error
            raise FileNotFoundError(errno.ENOENT, "no such file", self._shown(key)) from None
        except OSError as error:
            kind = StorageUnavailable if error.errno in _MAY_PASS else JobError
            raise kind(f"cannot {doing} this ({error.strerror})", where=self._shown(key)) from error

    def _shown(self, key: str) -> str:
        return str(self._path(key))


def _above(folder: Path) -> frozenset[tuple[int, int]]:
    """The folders that a folder lies in: a link to one of them leads back to it, and to all else that is there."""
    found = (above.stat() for above in folder.resolve().parents if above.exists())
    return frozenset((status.st_dev, status.st_ino) for status in found)


def _files(folder: Path, key: str, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
    """Every file below; links are followed, except back into a folder that is being walked or that it lies in."""
    try:
        status = folder.stat()
        with os.scandir(folder) as names:
            items = list(names)
    except (FileNotFoundError, NotADirectoryError):
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    for item in items:
        inside = below(key, _key(item.name))
        if item.is_dir():
            yield from _files(Path(item.path), inside, above | {identity})
        elif item.is_file() and not item.name.endswith(PARTIAL_SUFFIX):
            with suppress(FileNotFoundError):  # deleted since
                found = item.stat()
                yield Entry(inside, found.st_size, f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}")


def _key(name: str) -> str:
    """The name as text: Python gives a byte that is not UTF-8 as a surrogate, which no file or hash would take."""
    escaped = _ESCAPED.sub(lambda match: "".join(chr(_RAW_BYTES + b) for b in match[0].encode()), name)
    return re.sub("[\udc80-\udcff]", lambda match: chr(ord(match[0]) - _SURROGATES + _RAW_BYTES), escaped)


def _name(part: str) -> str:
    """The inverse of ``_key``."""
    raw = _ESCAPED.sub(lambda match: chr(ord(match[0]) - _RAW_BYTES + _SURROGATES), part)
    return os.fsdecode(os.fsencode(raw))
