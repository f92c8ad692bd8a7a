"""FSDP2: the processes divide weights, gradients and the optimizer's state among them, by PyTorch itself.

Zhao et al. 2023 (arXiv 2304.11277), as ``torch.distributed.fsdp.fully_shard`` has it: each process holds a slice of
every parameter along its first dimension, and whole ones of a block only while that is computed.

Weights stay in fp32 and the passes run under PyTorch's autocast, as in the other engines: the same numbers are
computed, and a checkpoint is the same. FSDP's own mixed precision would send half as many bytes, but it rounds what
goes between the blocks, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from mtj_api.spec import Optimizer
from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine.changing import check_names
from mtj_trainer.train.engine.divided import gathered, with_buffers
from mtj_trainer.train.engine.engine import Judge, OptimizerState, Weights
from mtj_trainer.train.optimization import make_optimizer


class FsdpEngine:
    """See ``Engine``.

    Args:
        model: on this process's device; its parameters become slices.
        blocks: the parts of it that are brought together one at a time; what is in none of them is with the model.
        settings: of the optimizer.
        world: this process's place among several.
    """

    in_step = True

    def __init__(self, model: nn.Module, blocks: Iterable[nn.Module], settings: Optimizer, world: World) -> None:
        self._world = world
        self._mesh = init_device_mesh(world.device.type, (world.size,))
        for block in blocks:
            fully_shard(block, mesh=self._mesh)
        self._root: FSDPModule = fully_shard(model, mesh=self._mesh)
        self.model = self.parallel = model
        self._parameters: dict[str, Any] = dict(model.named_parameters())
        """As slices; in a pass, the model has others under these names."""
        self._clip = settings.gradient_clip
        self._optimizer = make_optimizer(model, settings)

    def begin_pass(self, *, last: bool) -> None:
        """See ``Engine.begin_pass``: gradients are averaged in each, as between passes they would lie whole."""

    def backward(self, loss: Tensor) -> None:
        """See ``Engine.backward``."""
        torch.autograd.backward(loss)

    def step(self, rate: float, judge: Judge) -> None:
        """See ``Engine.step``: AdamW's own kernel leaves the update out, by a number that lies beside the weights."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        trained = [parameter for parameter in self._parameters.values() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([parameter.grad for parameter in trained])
        assert isinstance(norm, DTensor)
        whole = norm.full_tensor()
        nn.utils.clip_grads_with_norm_(trained, self._clip, whole)
        self._optimizer.found_inf = judge(whole, None)  # type: ignore[attr-defined]
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def parts(self) -> Weights:
        """See ``Engine.parts``: a slice of each parameter."""
        slices = {name: p.to_local().detach() for name, p in self._parameters.items() if p.requires_grad}
        return with_buffers(slices, self.model, self._parameters)

    def refresh(self) -> None:
        """See ``Engine.refresh``: what a pass without gradients leaves whole, the model's own, is let go."""
        self._root.reshard()

    def whole(self, parts: Weights) -> Weights:
        """See ``Engine.whole``."""
        return gathered(parts, self._parameters, self._gathered, self._world)

    def divided(self, whole: Weights) -> Weights:
        """See ``Engine.divided``."""
        return {n: self._sliced(value).to_local() if n in self._parameters else value for n, value in whole.items()}

    def optimizer_state(self) -> OptimizerState:
        """See ``Engine.optimizer_state``: gathered one tensor at a time; only the first process keeps it."""
        form = self._optimizer.state_dict()
        found: dict[int, dict[str, Tensor]] = {}
        for index, state in form["state"].items():
            found[index] = {}
            for key, value in state.items():
                whole = value.full_tensor() if isinstance(value, DTensor) else value
                if self._world.is_first:
                    found[index][key] = whole.to("cpu", copy=True)
        return {"optimizer": {**form, "state": found}, "scaler": {}}

    def restore(self, weights: Weights, state: OptimizerState) -> None:
        """See ``Engine.restore``."""
        own = self.parts()
        check_names(own, weights)
        with torch.no_grad():
            for name, part in self.divided(weights).items():
                own[name].copy_(part)
        self.refresh()
        saved = state["optimizer"]
        moments = {
            index: {key: value if key == "step" else self._sliced(value) for key, value in of.items()}
            for index, of in saved["state"].items()
        }
        self._optimizer.load_state_dict({**saved, "state": moments})

    def _gathered(self, name: str, part: Tensor) -> Tensor:
        like = self._parameters[name]
        whole = DTensor.from_local(part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride())
        return whole.full_tensor()

    def _sliced(self, whole: Tensor) -> DTensor:
        """This process's slice of what every process has."""
        there = whole.to(self._world.device)
        return distribute_tensor(there, self._mesh, [Shard(0)], src_data_rank=None)
