"""Where numba keeps what it has compiled of librosa's functions: a folder that no other process has meanwhile.

In one folder for all, as is its custom, two processes that compile a function at the same time may give one number to
two files. From then on the wrong code is called, and each process that does so ends with a segmentation fault.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


@functools.cache
def keep_compiled() -> Path:
    """Keep what is compiled in this process for later ones; to be called before librosa is imported.

    Returns:
        The folder, below the user's own for caches, or a temporary one where that cannot be written.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        folder, _ = claimed(caches / "mtj" / "numba")
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="mtj-numba-"))
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if numba := sys.modules.get("numba"):  # it has looked there already
        numba.config.CACHE_DIR = str(folder)
    return folder


def claimed(parent: Path) -> tuple[Path, int]:
    """The first of the folders ``0``, ``1`` and so on that nobody has, and the descriptor whose lock keeps it.

    The lock goes with the process, whatever ends it.

    Raises:
        OSError: nothing can be written there.
    """
    for number in itertools.count():
        folder = parent / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder, lock
        os.close(lock)
    raise AssertionError
