"""What numba has compiled of librosa's functions, for tests whose jobs have caches of their own."""

from __future__ import annotations

import os
from pathlib import Path


def share_compiled(caches: Path) -> None:
    """Give another folder for caches what this user's has: compiling it anew takes each process many seconds."""
    ours = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mtj/numba"
    ours.mkdir(parents=True, exist_ok=True)
    theirs = caches / "mtj/numba"
    theirs.parent.mkdir(parents=True, exist_ok=True)
    if not theirs.exists():
        theirs.symlink_to(ours)
