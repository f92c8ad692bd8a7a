"""This process's place among the training processes, and the little that they say to each other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from mtj_trainer.stage import PeerLost, stop_requested
from mtj_trainer.train.repeatable import compute_the_same_again

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

BLAME_SECONDS = 3.0
"""How long a process stays that only leaves because of another, so that the other is seen to fail first: until it is
told to stop, as that is what follows when the other was seen."""

PATIENCE = timedelta(days=1)
"""How long a process waits for the others. Whether that has become too long is told by all of them together
(``watchdog.py``): NCCL's own limit would end a run whose first process writes a large checkpoint."""

PART_SECONDS = timedelta(seconds=30)
"""How long a process waits for those that are slower to leave."""

_LOST = re.compile(
    "connection closed|connection reset|connection refused|broken pipe|got 0 bytes"
    "|timed out waiting|timeout caused pair closure|remote process exit",
    re.IGNORECASE,
)
"""What gloo, NCCL and the store say of a peer that is gone."""


ChoiceT = TypeVar("ChoiceT")


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

    def sum(self, values: Tensor) -> Tensor:
        """``values`` summed over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def agreed(self, choice: ChoiceT) -> ChoiceT:
        """What the first process chose."""
        choices = [choice]
        if self.size > 1:
            dist.broadcast_object_list(choices, src=0)
        return choices[0]

    def gathered(self, said: ChoiceT) -> list[ChoiceT]:
        """What each process says, by rank."""
        if self.size == 1:
            return [said]
        found: list[ChoiceT | None] = [None] * self.size
        dist.all_gather_object(found, said)
        return cast("list[ChoiceT]", found)

    def barrier(self) -> None:
        """Return when every process has come here."""
        self.sum(torch.zeros(1))


@contextmanager
def join_world() -> Iterator[World]:
    """Join the processes that were started together: NCCL where there are GPUs, gloo where not.

    Raises:
        PeerLost: what was done within failed because another process went away.
    """
    rank, local_rank, size = (int(os.environ.get(name, fallback)) for name, fallback in _TORCHRUN)
    if torch.cuda.is_available():
        compute_the_same_again()
        device = torch.device("cuda", local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    try:
        if size == 1:
            yield World(rank, local_rank, size, device)
            return
        store, _, _ = next(rendezvous("env://"))
        # With gloo besides NCCL, what lies on the CPU is summed without waiting for the GPU.
        backends = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backends, store=store, rank=rank, world_size=size, timeout=PATIENCE)
        yield World(rank, local_rank, size, device)
        _part(store, rank, size)
        dist.destroy_process_group()  # not after a failure: NCCL would wait for those that are gone
    except RuntimeError as error:
        if not means_lost_peer(error):
            raise
        stop_requested.wait(BLAME_SECONDS)
        raise PeerLost from error


def _part(store: Store, rank: int, size: int) -> None:
    """Return when every process is through with what they do together.

    gloo takes a peer that has left for a failure even of a sum that is complete, if the slower process has not looked
    at it yet. The store, which is no process's own, does not.
    """
    with suppress(dist.DistError):  # all there was to do is done
        store.set(f"through/{rank}", "")
        store.wait([f"through/{one}" for one in range(size)], PART_SECONDS)


def means_lost_peer(error: RuntimeError) -> bool:
    """Whether an error of torch says that another process is not there any more."""
    return isinstance(error, dist.DistNetworkError | dist.DistStoreError) or bool(_LOST.search(str(error)))


_TORCHRUN = (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1"))
