"""Whose the checkpoints in a folder are, and which process may write there: ``owner.json``.

Two jobs never write into one folder: the first marks it, the second is refused. Of two processes of one job, such as
an attempt on a node that was cut off and the attempt that took its place, the one that came later writes; the other
learns so before it would complete a checkpoint, and stops.

Object stores have no condition over two objects, so between that look and the manifest a moment stays. What two
writers could mix in it has another checksum than its manifest says, and is passed over.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field

from mtj_api import JobError
from mtj_trainer.stage import PeerLost
from mtj_trainer.storage import Storage

OWNER = "owner.json"


class Superseded(PeerLost):
    """A later process of the same job writes these checkpoints now."""


@dataclass(frozen=True)
class Owner:
    """A process that writes checkpoints.

    Attributes:
        job: the job's name.
        output: URL of its output, which tells it from others of its name; empty where the checkpoints lie in it, so
            that a folder that was moved stays its own.
        attempt: at the job's training, as its executor names it: some name, ``-`` and a number; or empty.
        process: tells it from others of the same attempt.
    """

    job: str
    output: str
    attempt: str = ""
    process: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def of(cls, job: str, output: str, folder: str, attempt: str) -> Owner:
        """This process, as the owner of the checkpoints at the URL ``folder``."""
        is_inside = f"{folder}/".startswith(f"{output.rstrip('/')}/")
        return cls(job, "" if is_inside else output.rstrip("/"), attempt)

    def claim(self, folder: Storage) -> None:
        """Take the folder over from earlier processes of the same job.

        Raises:
            JobError: it is another job's.
            Superseded: a later attempt has it.
        """
        there = _read(folder)
        if there is not None:
            self._refuse_other_job(there, folder)
            if _is_later(there.attempt, self.attempt):
                raise Superseded(_sentence(folder))
        folder.write(OWNER, (json.dumps(asdict(self), indent=2) + "\n").encode())

    def check(self, folder: Storage) -> None:
        """Return if the folder is still this process's.

        Raises:
            JobError: it has become another job's.
            Superseded: a later process has taken it over.
        """
        there = _read(folder)
        if there is None:
            self.claim(folder)
        elif there != self:
            self._refuse_other_job(there, folder)
            raise Superseded(_sentence(folder))

    def _refuse_other_job(self, there: Owner, folder: Storage) -> None:
        if there.output != self.output:
            whose = f"the job {there.job}" + (f", whose output is {there.output}," if there.output else "")
            raise JobError(
                f"{whose} has its checkpoints here",
                where=folder.url,
                instead=f"write another spec.checkpoint.url, or delete {OWNER} there if this job is to go on from them",
            )


def _read(folder: Storage) -> Owner | None:
    """Who has the folder; ``None`` where nobody does, or nobody that can be made out."""
    try:
        return Owner(**json.loads(folder.read(OWNER)))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _is_later(theirs: str, ours: str) -> bool:
    """Whether an attempt came after ours; those of different names cannot be told, and ours is taken for the later."""
    (their_name, _, their_number), (name, _, number) = theirs.rpartition("-"), ours.rpartition("-")
    if their_name != name or not (their_number.isdecimal() and number.isdecimal()):
        return False
    return int(their_number) > int(number)


def _sentence(folder: Storage) -> str:
    return f"{folder.url}: a later run of this job writes its checkpoints here, so this one has stopped"
