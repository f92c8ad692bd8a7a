"""What a model takes in memory whatever trains it: each family says this of itself, and the rest is arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HEAP_LIMIT = 32 << 20
"""A larger allocation gets pages of its own, which go back to the system with it; a smaller one lies in the heap of the
C library (glibc's ``mallopt(3)``, ``M_MMAP_THRESHOLD``)."""

FP32 = 4

MIB = 1 << 20


@dataclass(frozen=True)
class Kept:
    """Tensors of one size that a pass keeps for its backward pass.

    Attributes:
        size: bytes of each.
        count: how many there are.
    """

    size: int
    count: int


@dataclass(frozen=True)
class Footprint:
    """A family's model in one training process.

    Attributes:
        libraries: bytes of Python, PyTorch and what else the family imports.
        trained: parameters that training changes.
        resting: parameters that lie beside them: frozen, or not called in training at all.
        largest_weight: parameters of the largest matrix.
        kept: what a pass keeps for its backward pass.
        momentary: bytes that a pass needs besides, where it needs most.
        validation: bytes that a validation batch needs where it needs most; it keeps nothing.
        reading: bytes at the moment at which a model that is there is read, or its copy is changed to be saved.
    """

    libraries: int
    trained: int
    resting: int
    largest_weight: int
    kept: tuple[Kept, ...]
    momentary: int
    validation: int
    reading: int = 0

    @property
    def activations(self) -> int:
        """Bytes that come and go with each step."""
        return max(total(self.kept) + self.momentary, self.validation)

    @property
    def in_heap(self) -> int:
        """How many of these lie in the C library's heap."""
        return total(kept for kept in self.kept if kept.size < HEAP_LIMIT)


def total(kept: Iterable[Kept]) -> int:
    """Bytes of all of them."""
    return sum(one.size * one.count for one in kept)


def bytes_a_value(precision: str) -> int:
    """Of what products are made of; ``auto`` counts as fp32, the larger one that it may choose."""
    return FP32 if precision in ("fp32", "auto") else 2
