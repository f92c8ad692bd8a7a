"""Which of a step's examples each process computes, and in how many passes, however many processes there are.

A step's examples follow those of the step before it, whoever computes them, so a run may go on with fewer processes
and grow back without an example left out or seen twice. Fewer processes make more passes of the same step: a pass never
has more examples than where the job has all the processes that it asks for, so memory that did for these does for
fewer. Invariants: every example of a step is in one pass of one process; all processes make equally many passes, since
some engines exchange something in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from mtj_api.passes import passes_of
from mtj_api.spec import Training


@dataclass(frozen=True)
class Slices:
    """How the steps of a run are divided.

    Attributes:
        size: examples a step.
        processes: that share them.
        passes: of each process a step.
    """

    size: int
    processes: int
    passes: int

    def of(self, step: int, rank: int) -> list[range]:
        """The positions of a process's examples in a step, a range for each pass.

        Where they cannot be divided evenly, ranges differ by one example. The loss is summed over a step's examples
        before it is divided by all of their predictions, so that each counts alike whichever range it is in. A range
        may be empty.
        """
        first, last = (self.size * part // self.processes for part in (rank, rank + 1))
        bounds = [first + (last - first) * part // self.passes for part in range(self.passes + 1)]
        return [range(step * self.size + a, step * self.size + b) for a, b in pairwise(bounds)]


def divide(training: Training, processes: int) -> Slices:
    """The division of a resolved job's steps for so many processes, which need not be as many as it asks for."""
    return Slices(training.batch.size, processes, passes_of(training, processes))


def told(training: Training, processes: int) -> str:
    """What a user should know of the division: empty where there are all the processes that the job asks for."""
    asked_for = training.nodes * training.processes_per_node
    if processes >= asked_for:
        return ""
    passes = passes_of(training, processes)
    return f"{processes} of {asked_for} processes: a step keeps its {training.batch.size} sequences, in {passes} passes"
