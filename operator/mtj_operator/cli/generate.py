"""``mtj generate``: the trainer's own command, in a process of its own, as all that loads models is."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def generate(arguments: Sequence[str]) -> NoReturn:
    """Become the trainer's command with these arguments."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "mtj_trainer.generate", *arguments])  # noqa: S606
