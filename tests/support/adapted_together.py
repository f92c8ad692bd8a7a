"""One of the processes that adapt a tiny MusicGen, for tests of engines: ``adapted_together.py FOLDER JSON``.

The JSON is a list of runs, each a name, and what of ``spec.training`` makes it; the first process writes the whole
weights, the frozen ones, and the losses of each run, to the folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor

from mtj_api.spec import Training
from mtj_trainer.adaptation import MUSICGEN, adapt
from mtj_trainer.train.distributed import World, join_world
from mtj_trainer.train.engine import Engine, Weights, make_engine
from mtj_trainer.train.optimization import AveragedWeights
from support.gpus import share_gpus
from support.judging import every_step_is_good
from support.tiny_musicgen import Conditioned, inputs, tiny_musicgen

STEPS, STOP, ROWS = 6, 3, 2

SETTINGS: dict[str, Any] = {
    "batch": {"size": 2 * ROWS},
    "optimizer": {"learning_rate": 0.01, "weight_decay": 0.1, "gradient_clip": 1000.0},
}


class Run:
    """A run of training; another may go on from its state."""

    def __init__(self, world: World, settings: Training) -> None:
        self._world = world
        model = Conditioned(tiny_musicgen())
        torch.manual_seed(0)
        if settings.strategy != "full":
            adapt(model, settings, MUSICGEN)
        model.to(world.device)
        self.engine: Engine = make_engine(model, MUSICGEN.blocks_of(model), settings, world, "fp32")
        self.averaged = AveragedWeights(self.engine.parts(), 0.5, self.engine.refresh)
        self.losses: list[float] = []

    def steps(self, first: int, last: int) -> None:
        self.engine.model.train()
        for step in range(first, last):
            given = inputs(ROWS, seed=step * self._world.size + self._world.rank)
            codes, states, mask = (tensor.to(self._world.device) for tensor in given)
            self.engine.begin_pass(last=True)
            logits = self.engine.parallel(codes, states, mask)
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), codes.flatten(0, 1)[:, 1:].flatten())
            self.engine.backward(loss)
            self.engine.step(0.01, every_step_is_good)
            self.averaged.update(step)
            self.losses.append(float(self._world.sum(loss.detach().clone())))

    def state(self) -> tuple[Weights, Weights, dict[str, Any]]:
        engine = self.engine
        return engine.whole(engine.parts()), engine.whole(self.averaged.weights), engine.optimizer_state()

    def frozen(self) -> dict[str, Tensor]:
        """Whole frozen weights, however the engine has divided them."""
        parameters = {name: p for name, p in self.engine.model.named_parameters() if not p.requires_grad}
        divided = {name: p.ds_tensor for name, p in parameters.items() if hasattr(p, "ds_tensor")}
        divided |= {name: p.to_local() for name, p in parameters.items() if isinstance(p, DTensor)}
        return self.engine.whole({**{name: p.detach() for name, p in parameters.items()}, **divided})


def run(world: World, folder: Path, name: str, training: dict[str, Any], then: dict[str, Any] | None = None) -> None:
    """Train; where ``then`` is given, up to ``STOP`` with ``training`` and on with ``then`` from what it left."""
    begun = Run(world, Training(**SETTINGS, **training))
    begun.steps(0, STOP if then else STEPS)
    if then:
        weights, averaged, optimizer = (_copied(part, world) for part in begun.state())
        begun, losses = Run(world, Training(**SETTINGS, **then)), begun.losses
        begun.engine.restore(weights, optimizer)
        begun.averaged.restore(begun.engine.divided(averaged))
        begun.losses = losses
        begun.steps(STOP, STEPS)
    weights, averaged, _ = begun.state()
    frozen = begun.frozen()
    if world.is_first:
        for kind, tensors in (("trained", weights), ("averaged", averaged), ("frozen", frozen)):
            save_file({n: t.detach().contiguous().clone() for n, t in tensors.items()}, folder / f"{name}.{kind}")
        (folder / f"{name}.json").write_text(json.dumps(begun.losses))


def _copied(state: Any, world: World) -> Any:
    """The first process's state, as a checkpoint would bring it to all."""
    held = [state]
    torch.distributed.broadcast_object_list(held, src=0)
    return held[0]


if __name__ == "__main__":
    share_gpus()
    with join_world() as joined:
        for wanted in json.loads(sys.argv[2]):
            run(joined, Path(sys.argv[1]), **wanted)
