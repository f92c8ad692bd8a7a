"""Every process holds everything; gradients are averaged in the backward pass (PyTorch's DistributedDataParallel)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mtj_api.spec import Optimizer
from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine.changing import changing, put
from mtj_trainer.train.engine.engine import Judge, OptimizerState, Weights
from mtj_trainer.train.optimization import make_optimizer


class DdpEngine:
    """See ``Engine``.

    Args:
        model: on this process's device.
        settings: of the optimizer.
        world: this process's place.
        precision: fp16 scales the loss, so that small gradients survive it.
    """

    in_step = False

    def __init__(self, model: nn.Module, settings: Optimizer, world: World, precision: str) -> None:
        self.model = model
        self._clip = settings.gradient_clip
        self._optimizer = make_optimizer(model, settings)
        self._scaler = torch.amp.grad_scaler.GradScaler(world.device.type, enabled=precision == "fp16")
        self.parallel = _parallel(model, world)

    def begin_pass(self, *, last: bool) -> None:
        """See ``Engine.begin_pass``."""
        if isinstance(self.parallel, DistributedDataParallel):
            self.parallel.require_backward_grad_sync = last

    def backward(self, loss: Tensor) -> None:
        """See ``Engine.backward``."""
        torch.autograd.backward(self._scaler.scale(loss))

    def step(self, rate: float, judge: Judge) -> None:
        """See ``Engine.step``: AdamW's own kernel leaves the update out, by a number that lies beside the weights."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._scaler.unscale_(self._optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
        self._optimizer.found_inf = judge(norm, self._overflowed(norm))  # type: ignore[attr-defined]
        self._optimizer.step()
        if self._scaler.is_enabled():
            self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)

    def _overflowed(self, norm: Tensor) -> Tensor | None:
        """Whether the scaler has found its scale too large: it halves that, and a smaller one may do."""
        if not self._scaler.is_enabled():
            return None
        scale = self._scaler.scale(torch.ones_like(norm))
        return torch.logical_not(torch.isfinite(norm)) & (scale > 1.0)

    def parts(self) -> Weights:
        """See ``Engine.parts``: all of them."""
        return changing(self.model)

    def refresh(self) -> None:
        """See ``Engine.refresh``: there is no copy of them."""

    def whole(self, parts: Weights) -> Weights:
        """See ``Engine.whole``."""
        return parts

    def divided(self, whole: Weights) -> Weights:
        """See ``Engine.divided``."""
        return whole

    def optimizer_state(self) -> OptimizerState:
        """See ``Engine.optimizer_state``."""
        return {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def restore(self, weights: Weights, state: OptimizerState) -> None:
        """See ``Engine.restore``."""
        put(self.model, weights)
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])


def _parallel(model: nn.Module, world: World) -> nn.Module:
    if world.size == 1:
        return model
    device_ids = [world.device.index] if world.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=device_ids, gradient_as_bucket_view=True)
