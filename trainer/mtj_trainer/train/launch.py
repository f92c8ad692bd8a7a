"""torchrun, with the exit code of the process that failed first instead of always 1."""

from __future__ import annotations

import signal
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from mtj_api.contract import ExitCode
from mtj_trainer.stage import leave_sentence


def main(arguments: list[str] | None = None) -> int:
    """Run torchrun with ``arguments``; the exit code keeps the contract of ``mtj_api.contract``."""
    try:
        run.main(arguments)
    except SignalException:  # it was told to stop, has told the processes, and they have saved and left
        return int(ExitCode.INTERRUPTED)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode == -signal.SIGKILL:
            leave_sentence(f"training process {rank} was ended by SIGKILL, which the system sends when memory runs out")
        known = {int(code) for code in ExitCode}
        return failure.exitcode if failure.exitcode in known else int(ExitCode.CRASHED)
    return int(ExitCode.DONE)


if __name__ == "__main__":
    sys.exit(main())
