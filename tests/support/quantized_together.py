"""One of two processes that train a codec's codebooks together: ``quantized_together.py RANK FOLDER``.

Each has audio of its own, and writes its weights with each engine to ``FOLDER/ENGINE-RANK.pt``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from mtj_api.spec import Training
from mtj_trainer.families.codec.model import CodecSizes, CodecTraining, make_codec
from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine import make_engine
from support.judging import every_step_is_good

TINY = CodecSizes(8_000, 4, (4, 8), 16, codebooks=2, codebook_size=16, codebook_dim=4)
EVERY_LOSS = {
    "waveform": 1.0,
    "stft": 1.0,
    "mel": 1.0,
    "adversarial": 1.0,
    "feature_matching": 1.0,
    "commitment": 0.02,
}
OPTIMIZER = {"learning_rate": 1e-3, "weight_decay": 0.01}


def main(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    world = World(rank, rank, 2, torch.device("cpu"))
    for name in ("torchrun", "fsdp"):
        torch.manual_seed(0)
        training = CodecTraining(make_codec(TINY), EVERY_LOSS)
        blocks = [*training.codec.encoder.block, *training.codec.decoder.block]
        settings = Training.model_validate({"engine": name, "batch": {"size": 4}, "optimizer": OPTIMIZER})
        engine = make_engine(training, blocks, settings, world, "fp32")
        for step in range(4):
            torch.manual_seed(10 * step + rank)
            engine.begin_pass(last=True)
            total, _ = engine.parallel(0.3 * torch.randn(2, 4096))
            engine.backward(total)
            engine.step(1e-3, every_step_is_good)
        torch.save(engine.whole(engine.parts()), folder / f"{name}-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
