"""What a single file may cost, whatever it claims: bytes before it is read, and seconds of a processor while it is.

Invariant: the bound of time needs nobody's help. A decoder in an endless loop hears no exception, so the kernel ends
the worker, and the file is found and left out like any other that ends its worker.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mtj_api.spec.dataset import Modality
from mtj_trainer.prepare.quarantine import Unusable
from mtj_trainer.storage import Entry

LARGEST_BYTES: Mapping[Modality, int] = {"audio": 4 << 30, "midi": 32 << 20}
"""A file is read as a whole. A wav file can say no more than this of itself; a MIDI file of a million notes is 8 MB."""

CPU_SECONDS = 1800.0
"""Four hours of sound with every feature take a few minutes."""


def check_size(entry: Entry, modality: Modality) -> None:
    """Whether a file may be read.

    Raises:
        Unusable: ``too-large``.
    """
    if entry.size > LARGEST_BYTES[modality]:
        most = LARGEST_BYTES[modality] >> 20
        raise Unusable("too-large", f"{entry.key} has {entry.size >> 20:,} MiB; at most {most:,} MiB are read")


@contextmanager
def processor_time(seconds: float = CPU_SECONDS) -> Iterator[None]:
    """Within it, this process is ended by SIGPROF when it has computed for so long."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
