"""What the training loop asks of whatever computes gradients and applies them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

Weights = dict[str, Tensor]
"""Tensors by the name that the model has for them."""

OptimizerState = dict[str, Any]
"""AdamW's ``state_dict()``, whole, in the model's order of parameters; with ``scaler`` where losses are scaled."""


Judge = Callable[[Tensor, Tensor | None], Tensor]
"""From a gradient's norm, a scalar, and where losses are scaled whether the scaled gradient overflowed, another, to
whether the step is to be left out: 0 or 1 in fp32. A collective that waits for no GPU."""


class Engine(Protocol):
    """A model, its optimizer, and how their parts lie on the processes.

    A process may hold a part of each tensor only. Checkpoints hold all of it, in one form for every engine, so that
    a run may go on with another engine and on another number of processes. Where some weights are frozen, ``weights``
    are only those that training changes. Whatever says so below is a collective: every process calls it at the same
    point.

    Attributes:
        model: for passes without gradients.
        parallel: the same for passes with gradients.
        in_step: whether a pass without gradients is a collective, too.
    """

    model: nn.Module
    parallel: nn.Module
    in_step: bool

    def begin_pass(self, *, last: bool) -> None:
        """To be called before each pass with gradients; they are averaged over the processes by a step's last."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a pass."""
        ...

    def step(self, rate: float, judge: Judge) -> None:
        """Apply the gradients with a learning rate, or leave that out, and clear them. Collective.

        ``judge`` is called once, with the norm before clipping. A step that is left out changes neither the weights nor
        anything of the optimizer.
        """
        ...

    def parts(self) -> Weights:
        """This process's parts of the weights: the tensors themselves, which change as training goes on."""
        ...

    def refresh(self) -> None:
        """To be called when ``parts`` were changed from outside."""
        ...

    def whole(self, parts: Weights) -> Weights:
        """Whole tensors from each process's parts, for the first process alone where they are divided. Collective."""
        ...

    def divided(self, whole: Weights) -> Weights:
        """This process's parts of whole tensors."""
        ...

    def optimizer_state(self) -> OptimizerState:
        """All of the optimizer's state. Collective."""
        ...

    def restore(self, weights: Weights, state: OptimizerState) -> None:
        """Take up whole weights and the optimizer's whole state.

        Raises:
            JobError: the weights are not those that are trained.
        """
        ...
