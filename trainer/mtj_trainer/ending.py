"""The end of a process in which threads of PyTorch are at work.

Threads of gloo and of its store outlive what they work for. One that takes up the interpreter while that takes itself
down, to let go of a tensor, say, is ended in the midst of C++, which aborts the process: whatever was done, its exit
status is that of a crash.
"""

from __future__ import annotations

import atexit
import os
import sys


class EarlyEnd:
    """Ends this process once its own threads and files are done, and before the interpreter takes itself down.

    Attributes:
        code: the exit status; what raised an exception leaves it as it was made.
    """

    def __init__(self, code: int) -> None:
        self.code = code
        atexit.register(self._end)  # the first to be registered is the last to be called

    def _end(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.code)
