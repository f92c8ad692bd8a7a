"""A training process that only acts: what launchers start in tests of them.

    python -m support.member FOLDER PART PART ...

Each rank plays its part once all have begun:

    done       ends well
    CODE       ends with this exit status
    kill       is ended by SIGKILL
    save       works until it is told to stop, takes a moment to save, and ends with 75
    work       works until it is told to stop, and is ended by that
    deaf       works, and does not listen
    follow     works until another rank has failed, and a little later ends with 69, as training does
    replaced   ends with 69 and says why, as where a later run has its checkpoints
    late-CODE  does something wrong, and is slow to leave: the others notice before

None outlives what has started it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

SAVING_SECONDS = 1.0
FOLLOWING_SECONDS = 3.0


def main(folder: Path, parts: list[str]) -> int:
    """Play the part of this process's rank."""
    rank, parent = int(os.environ["RANK"]), os.getppid()
    told = False

    def tell(_number: int, _frame: object) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, tell)
    (folder / f"began-{rank}").touch()
    while len(list(folder.glob("began-*"))) < len(parts) and os.getppid() == parent:
        time.sleep(0.02)
    part = parts[rank]
    if part == "work":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if part == "kill":
        (folder / "failed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    while os.getppid() == parent and (
        part in ("work", "deaf")
        or (part == "save" and not told)
        or (part == "follow" and not (folder / "failed").exists())
    ):
        time.sleep(0.02)
    if part == "follow":
        time.sleep(FOLLOWING_SECONDS)
    if part == "save":
        time.sleep(SAVING_SECONDS)
        (folder / f"saved-{rank}").touch()
    if part == "replaced":
        (folder / "failed").touch()
        from mtj_trainer.stage import leave_sentence  # the other parts begin sooner without it

        leave_sentence("a later run has taken over")
    if part.startswith("late-"):
        (folder / "failed").touch()
        time.sleep(SAVING_SECONDS)
    codes = {"done": 0, "save": 75, "follow": 69, "replaced": 69, "work": 1, "deaf": 1}
    return codes[part] if part in codes else int(part.removeprefix("late-"))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
