"""What the C library does with memory that PyTorch gives back."""

from __future__ import annotations

import ctypes
import sys

PAGES_FROM = 1 << 20
"""Bytes."""

_M_MMAP_THRESHOLD = -3


def give_back() -> None:
    """Let larger allocations have pages of their own, which go back to the system with them.

    By itself glibc keeps them in its heap, in whose holes PyTorch's aligned blocks do not fit again: a process that
    recomputes activations then holds several times what it uses. New pages for each tensor cost time instead, which
    suits who has asked for less memory. Other C libraries are left as they are.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, PAGES_FROM)
