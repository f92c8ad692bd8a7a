"""On a GPU, a run that goes on from a checkpoint computes the same as one that was never stopped, bit for bit."""

from __future__ import annotations

import os

import torch


def compute_the_same_again() -> None:
    """Leave out the kernels of CUDA that add in the order in which their threads happen to come.

    To be called before the first use of a GPU. What has no other kernel is an error then: if it were only warned of,
    attention would keep its own: https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
