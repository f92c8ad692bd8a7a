"""This process's place among the training processes, and the little that they say to each other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class World:
    """Who this process is.

    Attributes:
        rank: from 0, over all processes.
        local_rank: from 0, on this machine.
        size: processes in all.
        device: what this process computes on.
    """

    rank: int
    local_rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with gradients averaged over all processes in the backward pass."""
        if self.size == 1:
            return model
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=device_ids, gradient_as_bucket_view=True)

    def sum(self, values: Tensor) -> Tensor:
        """``values`` summed over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def agreed(self, choice: str) -> str:
        """What the first process chose."""
        choices = [choice]
        if self.size > 1:
            dist.broadcast_object_list(choices, src=0)
        return choices[0]

    def barrier(self) -> None:
        if self.size > 1:
            dist.barrier()


@contextmanager
def join_world() -> Iterator[World]:
    """Join the processes that torchrun started: NCCL where there are GPUs, gloo where not."""
    rank, local_rank, size = (int(os.environ.get(name, fallback)) for name, fallback in _TORCHRUN)
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if size > 1:
        # With gloo besides NCCL, what lies on the CPU is summed without waiting for the GPU.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(rank, local_rank, size, device)
    finally:
        if size > 1:
            dist.destroy_process_group()


_TORCHRUN = (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1"))
