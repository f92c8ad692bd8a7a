"""torchrun's rendezvous where the machines have met already: the gang knows who they are, and nothing has to wait.

torchrun's own ways to meet wait within PyTorch, where no signal is heard: a machine whose peer went away at that moment
would stay for ten minutes.
"""

from __future__ import annotations

import os

from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)

from mtj_trainer.train.gang import Gang

NAME = "gang"
"""Of torchrun's ``--rdzv-backend``."""

_NOT_COUNTED = "TORCH_ELASTIC_WORKER_IDENTICAL"
"""Tells torchrun that each machine has as many processes, so that it need not ask the others how many they have."""


class GangRendezvous(RendezvousHandler):
    """See ``RendezvousHandler``; the gang has been joined."""

    def __init__(self, gang: Gang) -> None:
        self._gang = gang

    def get_backend(self) -> str:
        return NAME

    @property
    def use_agent_store(self) -> bool:
        return True

    def next_rendezvous(self) -> RendezvousInfo:
        gang = self._gang
        return RendezvousInfo(gang.store, gang.rank, gang.nodes, RendezvousStoreInfo(gang.host, gang.port))

    def get_run_id(self) -> str:
        return self._gang.name

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None:
        """Nothing: the gang itself says when a machine leaves."""

    def num_nodes_waiting(self) -> int:
        return 0

    def shutdown(self) -> bool:
        return True


def meet_in(gang: Gang) -> None:
    """Have this process's torchrun take the gang for its rendezvous."""

    def made(_parameters: RendezvousParameters) -> RendezvousHandler:
        return GangRendezvous(gang)

    os.environ[_NOT_COUNTED] = "1"
    rendezvous_handler_registry.register(NAME, made)
