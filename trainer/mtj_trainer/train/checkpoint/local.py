"""A checkpoint on this machine's own disk, on its way to or from where checkpoints lie.

Invariant: a folder is locked by whoever uses it. One without a lock is a dead process's, and the next to make one
removes it, so that killed processes do not fill the disk.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import SafetensorError
from torch import Tensor

from mtj_trainer.stage import work_dir
from mtj_trainer.storage.local import make_own, remove_own
from mtj_trainer.tensors import save_tensors
from mtj_trainer.train.checkpoint.background import Lost

_PREFIX = "checkpoint-"
_UNWRITTEN = re.compile(
    "no space left|quota exceeded|input/output error|iostream error|unexpected pos|file write failed", re.IGNORECASE
)
"""What the system, safetensors and PyTorch say of a disk that takes no more."""


class LocalFolder:
    """A folder of its own that is removed by ``close``, or when nobody refers to it any more.

    Attributes:
        path: where it is.
    """

    def __init__(self) -> None:
        parent = work_dir()
        with disk_explained(parent):
            self.path, lock = make_own(parent, _PREFIX)
        self.close = weakref.finalize(self, remove_own, self.path, lock)

    def share(self, other: Path) -> None:
        """Hold the files of another folder on the same disk too: they are there once, and as long as either is.

        Raises:
            OSError: it is not there, or on another disk.
        """
        for path in other.iterdir():
            (self.path / path.name).hardlink_to(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_locally(contents: dict[str, Any], folder: Path) -> None:
    """Write each of the contents to the file of its name, and let go of it: a ``.pt`` file, or tensors.

    Raises:
        Lost: the disk is full.
    """
    size = sum(map(_bytes, contents.values()))
    with disk_explained(folder, size):
        for key in list(contents):
            value = contents.pop(key)
            if key.endswith(".pt"):
                with _without_sums():
                    torch.save(value, folder / key)
            else:
                save_tensors(value, folder / key)


@contextmanager
def disk_explained(folder: Path, size: int = 0) -> Iterator[None]:
    """Tell in one sentence of a disk that does not take what is written to it.

    Args:
        folder: on that disk.
        size: bytes that there must be room for.

    Raises:
        Lost: what was done within failed, or would fail, since the disk is full or broken.
    """
    try:
        if shutil.disk_usage(folder).free < size:
            raise OSError(os.strerror(errno.ENOSPC))
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have kinds of their own
        if _UNWRITTEN.search(str(error)) is None:
            raise
        checkpoint = f"a checkpoint of {_shown(size)}" if size else "a checkpoint"
        raise Lost(
            f"{checkpoint} cannot be written to this disk, of which {_shown(shutil.disk_usage(folder).free)} are free",
            where=str(folder.parent),
            instead="make room there, or let MTJ_WORK_DIR name a folder on a larger disk",
        ) from None


@contextmanager
def _without_sums() -> Iterator[None]:
    """``torch.save`` leaves out its own checksums, half of its work: nobody looks at them, as the manifest has one."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)


def _bytes(value: Any) -> int:
    """How much the tensors in it take up."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list) else 0


def _shown(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**29 else f"{size / 2**20:.1f} MiB"
