"""What the training loop asks of a model family, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


BatchT = TypeVar("BatchT", bound=Batch)


class Family(Protocol[BatchT]):
    """A model, its data and its loss.

    Attributes:
        examples: training examples an epoch.
    """

    @property
    def examples(self) -> int: ...

    def model(self, device: torch.device) -> nn.Module:
        """The model to train: fresh, the same for the same seed, or with pretrained weights."""
        ...

    def batch(self, positions: Sequence[int]) -> BatchT:
        """The training examples at these positions of the endless, shuffled, augmented stream.

        A pure function: whoever asks, on however many processes, gets the same examples for the same positions.
        That is what makes a resumed run go on exactly where it stopped.
        """
        ...

    def validation(self, rank: int, world: int) -> Iterator[BatchT]:
        """This rank's part of the validation split, the same each time."""
        ...

    def loss(self, model: nn.Module, batch: BatchT) -> Tensor:
        """The loss summed over the batch's counted predictions, a scalar."""
        ...

    def save(self, folder: Storage, weights: dict[str, Tensor]) -> None:
        """Write the model in the form in which it is published."""
        ...
