"""What the training loop asks of a model family, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from mtj_trainer.storage import Storage


class Batch(Protocol):
    """What a family feeds its model.

    Attributes:
        counted: the predictions that the loss is a sum over, such as tokens; never 0.
    """

    @property
    def counted(self) -> int: ...

    def to(self, device: torch.device) -> Self: ...


@dataclass(frozen=True)
class Loss:
    """What a batch costs.

    Attributes:
        total: what is minimized, summed over the batch's counted predictions; a scalar.
        terms: what it is made of and what else is worth logging, by name: each summed likewise, without gradients.
    """

    total: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)


BatchT = TypeVar("BatchT", bound=Batch)


class Family(Protocol[BatchT]):
    """A model, its data and its loss.

    Attributes:
        unit: what the validation loss is in, such as "nats a token".
        needs_fp32: mixed precision costs it quality, so ``precision: auto`` is fp32.
        examples: training examples an epoch.
    """

    @property
    def unit(self) -> str: ...

    @property
    def needs_fp32(self) -> bool: ...

    @property
    def examples(self) -> int: ...

    def model(self, device: torch.device) -> nn.Module:
        """The model to train: fresh, the same for the same seed, or with pretrained weights."""
        ...

    def blocks(self, model: nn.Module) -> Sequence[nn.Module]:
        """The parts of the model to train that are called one after the other, such as the layers of a transformer.

        Where the processes divide the weights, those of one block at a time are brought together.
        """
        ...

    def batch(self, positions: Sequence[int]) -> BatchT:
        """The training examples at these positions of the endless, shuffled, augmented stream.

        A pure function: whoever asks, on however many processes, gets the same examples for the same positions.
        That is what makes a resumed run go on exactly where it stopped.
        """
        ...

    def files(self, positions: Sequence[int]) -> list[str]:
        """The source files that the training examples at these positions are from, in their order.

        May be called while another thread makes batches.
        """
        ...

    def validation(self, rank: int, world: int) -> Iterator[BatchT]:
        """This rank's part of the validation split, the same each time."""
        ...

    def loss(self, model: nn.Module, batch: BatchT) -> Loss:
        """What is minimized. ``model`` may be wrapped: it is called, and nothing else is asked of it."""
        ...

    def judge(self, model: nn.Module, batch: BatchT) -> Tensor:
        """The validation loss by which the best weights are chosen, summed over the counted predictions; a scalar.

        ``model`` is not in training mode. It is called, and nothing else is asked of it.
        """
        ...

    def save(self, folder: Storage, weights: dict[str, Tensor]) -> None:
        """Write the model in the form in which it is published."""
        ...
