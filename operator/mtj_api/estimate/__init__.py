"""How much memory training takes, by arithmetic alone, and whether a machine has it."""

from mtj_api.estimate.fits import Shortage, shortage, ways_with_less
from mtj_api.estimate.process import (
    TOLERANCE,
    MemoryEstimate,
    Started,
    divided_parts,
    machine_memory,
    offloaded_parts,
    process_memory,
)
from mtj_api.estimate.started import published_sizes, sizes_in

__all__ = [
    "TOLERANCE",
    "MemoryEstimate",
    "Shortage",
    "Started",
    "divided_parts",
    "machine_memory",
    "offloaded_parts",
    "process_memory",
    "published_sizes",
    "shortage",
    "sizes_in",
    "ways_with_less",
]
