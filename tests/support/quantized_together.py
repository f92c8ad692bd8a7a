"""One of two processes that train a codec's codebooks together: ``quantized_together.py RANK FOLDER``.

Each has audio of its own, and writes its weights to ``FOLDER/RANK.pt``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from mtj_trainer.families.codec.model import CodecSizes, CodecTraining, make_codec

TINY = CodecSizes(8_000, 4, (4, 8), 16, codebooks=2, codebook_size=16, codebook_dim=4)
EVERY_LOSS = {
    "waveform": 1.0,
    "stft": 1.0,
    "mel": 1.0,
    "adversarial": 1.0,
    "feature_matching": 1.0,
    "commitment": 0.02,
}


def main(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(0)
    training = CodecTraining(make_codec(TINY), EVERY_LOSS)
    parallel = DistributedDataParallel(training)
    optimizer = torch.optim.AdamW([p for p in training.parameters() if p.requires_grad], 1e-3)
    for step in range(4):
        torch.manual_seed(10 * step + rank)
        total, _ = parallel(0.3 * torch.randn(2, 4096))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    torch.save(training.state_dict(), folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
