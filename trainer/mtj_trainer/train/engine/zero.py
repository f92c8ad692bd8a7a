"""ZeRO: the processes divide the optimizer's state, the gradients and the weights among them, by DeepSpeed.

Rajbhandari et al. 2020 (arXiv 1910.02054), and Ren et al. 2021 (arXiv 2101.06840) for what is moved to the machine's
memory. Weights stay in fp32 and the passes run under PyTorch's autocast, as without DeepSpeed: the same numbers are
computed, and a checkpoint is the same. It costs the memory that half precision would save in the weights.
"""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mtj_api.passes import passes_of, sequences_in_a_pass
from mtj_api.spec import Training
from mtj_trainer.adaptation.injected import injected_layers
from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine.changing import changing, check_names, is_partly_frozen
from mtj_trainer.train.engine.divided import gathered, with_buffers
from mtj_trainer.train.engine.engine import Judge, OptimizerState, Weights
from mtj_trainer.train.optimization import make_optimizer

MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's state of each parameter, beside its count of steps."""


class ZeroEngine:
    """See ``Engine``.

    Args:
        model: on this process's device; its parameters become DeepSpeed's.
        settings: a resolved job's training.
        world: this process's place.
        precision: what passes are computed in, which is not fp16: losses are not scaled.
    """

    def __init__(self, model: nn.Module, settings: Training, world: World, precision: str) -> None:
        if precision == "bf16":  # DeepSpeed switches off, on a GPU, the autocast that its engine is called under
            model.forward = torch.autocast(world.device.type, dtype=torch.bfloat16)(model.forward)
        self._stage = settings.deepspeed.zero_stage
        self.in_step = self._stage == 3
        self._world = world
        self.model = model
        optimizer = make_optimizer(model, settings.optimizer)
        self._adam: Any = optimizer
        self._form = copy.deepcopy(optimizer.state_dict())
        """AdamW's state before the first step: the form in which checkpoints have it."""
        names = {parameter: name for name, parameter in model.named_parameters()}
        self._order = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
        self._parameters: dict[str, Any] = dict(model.named_parameters())
        """To which DeepSpeed adds what it knows of them."""
        deepspeed = _import_deepspeed(world)
        self._linked = deepspeed.utils
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about PyTorch's own interfaces
            engine, self._optimizer, _, _ = deepspeed.initialize(
                model=model, optimizer=optimizer, config=_config(settings, world), dist_init_required=False
            )
        if self._stage == 3 and is_partly_frozen(model):
            for layer in injected_layers(model).values():
                for parameter in layer.parameters():
                    deepspeed.zero.register_external_parameter(layer, parameter)
        self._engine: Any = engine
        self.parallel: nn.Module = engine

    def begin_pass(self, *, last: bool) -> None:
        """See ``Engine.begin_pass``."""
        self._engine.set_gradient_accumulation_boundary(last)

    def backward(self, loss: Tensor) -> None:
        """See ``Engine.backward``."""
        self._engine.backward(loss, scale_wrt_gas=False)

    def step(self, rate: float, judge: Judge) -> None:
        """See ``Engine.step``.

        DeepSpeed finds the norm within its own step, and calls AdamW then, once for each of its vectors. A gradient
        that is not finite it leaves out by itself.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if self._stage == 0:
            gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
            self._adam.found_inf = judge(nn.utils.get_total_norm(gradients), None)
            self._engine.step()
            return
        left_out: list[Tensor] = []

        def before_update(adam: Any, _arguments: Any, _keywords: Any) -> None:
            if not left_out:
                left_out.append(judge(torch.as_tensor(self._optimizer._global_grad_norm), None))
            adam.found_inf = left_out[0].to(self._flat_weights()[0].device)

        hook = self._adam.register_step_pre_hook(before_update)
        try:
            self._engine.step()
        finally:
            hook.remove()
        if not left_out:
            judge(torch.tensor(torch.inf, device=self._world.device), None)
        if self._stage == 3 and self._world.device.type == "cuda":
            # Weights are gathered on a stream of DeepSpeed's own, which does not wait until they are changed.
            torch.cuda.current_stream().synchronize()

    def parts(self) -> Weights:
        """See ``Engine.parts``: with stage 3 an equal share of each parameter, flat, and before it all of it."""
        if self._stage < 3:
            return changing(self.model)
        shares = {name: p.ds_tensor for name, p in self._parameters.items() if p.requires_grad}
        return with_buffers(shares, self.model, self._parameters)

    def refresh(self) -> None:
        """See ``Engine.refresh``: what stage 3 has gathered for the next pass is let go."""
        if self._stage == 3:
            self._engine.empty_partition_cache()

    def whole(self, parts: Weights) -> Weights:
        """See ``Engine.whole``: with stage 3 gathered."""
        if self._stage < 3:
            return parts
        return gathered(parts, self._parameters, self._gathered, self._world)

    def divided(self, whole: Weights) -> Weights:
        """See ``Engine.divided``."""
        if self._stage < 3:
            return whole
        return {name: self._share(name, value) if name in self._parameters else value for name, value in whole.items()}

    def optimizer_state(self) -> OptimizerState:
        """See ``Engine.optimizer_state``: gathered one parameter at a time; only the first process keeps it."""
        if self._stage == 0:
            return {"optimizer": self._optimizer.state_dict(), "scaler": {}}
        self._link()
        steps = next(iter(self._flat_states()))["step"]
        found: dict[int, dict[str, Tensor]] = {}
        for index, name in enumerate(self._order):
            moments = {}
            for key in MOMENTS:
                value = self._linked.safe_get_full_optimizer_state(self._parameters[name], key)
                if self._world.is_first:
                    moments[key] = value.detach().cpu()
            found[index] = {"step": torch.tensor(float(steps)), **moments}
        return {"optimizer": {**self._form, "state": found}, "scaler": {}}

    def restore(self, weights: Weights, state: OptimizerState) -> None:
        """See ``Engine.restore``."""
        own = self.parts()
        check_names(own, weights)
        parts = self.divided(weights)
        with torch.no_grad():
            for name, part in own.items():
                part.copy_(parts[name])
        self.refresh()
        if self._stage == 0:
            self._optimizer.load_state_dict(state["optimizer"])
            return
        saved = state["optimizer"]["state"]
        for flat in self._flat_weights():
            self._optimizer.optimizer.state[flat] = {
                # Where the weights are: AdamW's fused kernel reads it there.
                "step": saved[0]["step"].to(flat.device, torch.float32, copy=True),
                **{key: torch.zeros_like(flat) for key in MOMENTS},
            }
        self._link()
        for index, name in enumerate(self._order):
            self._set(name, weights[name])
            for key in MOMENTS:
                self._set(name, saved[index][key], key)

    def _set(self, name: str, value: Tensor, key: str | None = None) -> None:
        """Set this process's share of a parameter, or of one of its moments, as the optimizer has it."""
        parameter, utils = self._parameters[name], self._linked
        if self._stage == 3:
            share = self._share(name, value)
            if key is None:
                utils.safe_set_local_fp32_param(parameter, share)
            else:
                utils.safe_set_local_optimizer_state(parameter, share, key)
        elif key is None:
            utils.safe_set_full_fp32_param(parameter, value)
        else:
            utils.safe_set_full_optimizer_state(parameter, value, key)

    def _flat_weights(self) -> list[Tensor]:
        """This process's share of the weights as the optimizer has them: a few long vectors."""
        optimizer = self._optimizer
        found: list[Tensor] = (
            optimizer.fp32_partitioned_groups_flat if self._stage == 3 else optimizer.single_partition_of_fp32_groups
        )
        return found

    def _flat_states(self) -> Iterator[dict[str, Any]]:
        for flat in self._flat_weights():
            yield self._optimizer.optimizer.state[flat]

    def _link(self) -> None:
        """Tell every parameter where its moments lie; DeepSpeed itself does so for the first group alone."""
        if self._stage == 3:
            return
        for group, flat in zip(self._optimizer.bit16_groups, self._flat_weights(), strict=True):
            for parameter in group:
                if parameter._hp_mapping is not None:
                    parameter._hp_mapping.set_optim_state_fragment(flat, self._optimizer.optimizer.state[flat])

    def _gathered(self, name: str, part: Tensor) -> Tensor:
        shape = self._parameters[name].ds_shape
        flat = part.new_empty(part.numel() * self._world.size)
        dist.all_gather_into_tensor(flat, part.contiguous())
        return flat[: shape.numel()].view(shape)

    def _share(self, name: str, value: Tensor) -> Tensor:
        size = self._parameters[name].ds_tensor.numel()
        flat = nn.functional.pad(value.flatten(), (0, size * self._world.size - value.numel()))
        return flat[self._world.rank * size : (self._world.rank + 1) * size]


def _config(settings: Training, world: World) -> dict[str, Any]:
    """DeepSpeed's configuration: https://www.deepspeed.ai/docs/config-json"""
    cpu = {"device": "cpu"}
    stage = settings.deepspeed.zero_stage
    zero: dict[str, Any] = {"stage": stage, "overlap_comm": stage == 3 and world.device.type == "cuda"}
    if settings.deepspeed.offload != "none":
        zero["offload_optimizer"] = cpu
    if settings.deepspeed.offload == "all":
        zero["offload_param"] = cpu
    if stage == 3:
        zero["stage3_param_persistence_threshold"] = 0  # else small ones lie on every process besides
    return {
        "train_micro_batch_size_per_gpu": sequences_in_a_pass(settings, world.size),
        "gradient_accumulation_steps": passes_of(settings, world.size),
        "gradient_clipping": settings.optimizer.gradient_clip,
        "zero_optimization": zero,
        "zero_force_ds_cpu_optimizer": False,  # PyTorch's AdamW is as fast on a CPU, and needs no compiler
        "steps_per_print": None,
    }


def _import_deepspeed(world: World) -> Any:
    """DeepSpeed without its chatter, and without compiling what only inference uses."""
    if world.device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import deepspeed
        import deepspeed.ops
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="gloo" if world.device.type == "cpu" else "nccl", verbose=False)
    return deepspeed
