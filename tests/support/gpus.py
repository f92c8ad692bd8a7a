"""Training processes that share a GPU."""

from __future__ import annotations

import os

import torch


def share_gpus() -> None:
    """Let the processes that torchrun has started share GPUs, where there are fewer.

    NCCL refuses two of one host that do, so it takes them for two hosts; and each takes itself for the first there.
    """
    gpus = torch.cuda.device_count()
    if 0 < gpus < int(os.environ["WORLD_SIZE"]):
        os.environ["NCCL_HOSTID"] = os.environ["RANK"]
        os.environ["LOCAL_RANK"] = str(int(os.environ["LOCAL_RANK"]) % gpus)
