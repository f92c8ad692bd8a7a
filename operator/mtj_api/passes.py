"""Into how many passes each training process divides its part of a step.

Invariant: with the processes that a job asks for, as many as its accumulation says; with fewer, so many more that no
pass has more sequences than then. So memory that did for all processes does for fewer.
"""

from __future__ import annotations

from math import ceil

from mtj_api.spec import Training


def passes_of(training: Training, processes: int) -> int:
    """Passes a step of each of so many processes, which need not be as many as the resolved job asks for."""
    batch, asked_for = training.batch, training.nodes * training.processes_per_node
    in_a_pass = max(1, batch.size // (batch.accumulation * asked_for))
    return max(batch.accumulation, ceil(ceil(batch.size / processes) / in_a_pass))


def sequences_in_a_pass(training: Training, processes: int) -> int:
    """Sequences in the largest pass of so many processes."""
    return ceil(ceil(training.batch.size / processes) / passes_of(training, processes))
