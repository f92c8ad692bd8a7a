"""What the training module reads of some examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mtj_trainer.families.musicgen.delay import IGNORED, inputs_and_labels


@dataclass(frozen=True)
class Example:
    """One crop of a recording.

    Attributes:
        codes: (K, T) int64; ``IGNORED`` where there are none, or where they do not count.
        text: (L,) token ids of its caption, or (L, D) states.
        heard: whether the model hears the text.
        melody: (M, 12) one-hot chroma, where the model listens to a melody.
        counted_from: frames before this one are read and not predicted.
    """

    codes: npt.NDArray[np.integer]
    text: npt.NDArray[np.integer] | npt.NDArray[np.floating]
    heard: bool = True
    melody: npt.NDArray[np.float32] | None = None
    counted_from: int = 0


@dataclass(frozen=True)
class MusicGenBatch:
    """Examples side by side.

    Attributes:
        inputs: (B, K, S) what the decoder reads: codes in the delay pattern, as ``delay.inputs_and_labels`` makes them.
        labels: (B, K, S) what it should say.
        text: (B, L) token ids or (B, L, D) states of captions.
        mask: (B, L) which of them are real; ``None`` where all are.
        heard: (B,) whether the text is heard, or hidden for classifier-free guidance.
        melody: (B, M, 12) one-hot chroma.
        counted: labels that count.
    """

    inputs: Tensor
    labels: Tensor
    text: Tensor
    mask: Tensor | None
    heard: Tensor
    melody: Tensor | None
    counted: int

    def to(self, device: torch.device) -> Self:
        if device.type == "cpu":
            return self
        moved = {
            name: value.to(device, non_blocking=True) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


def collate(examples: Sequence[Example], pad: int, channels: int = 1) -> MusicGenBatch:
    """Examples to a batch; shorter codes and texts are padded on the right.

    Args:
        pad: the decoder's code for nothing.
        channels: 2 where codebooks are left and right in turn.
    """
    frames = max(example.codes.shape[1] for example in examples)
    codes = np.full((len(examples), examples[0].codes.shape[0], frames), IGNORED, dtype=np.int64)
    for row, example in zip(codes, examples, strict=True):
        row[:, : example.codes.shape[1]] = example.codes
    inputs, labels = inputs_and_labels(torch.from_numpy(codes), pad, channels)
    for row, example in zip(labels, examples, strict=True):
        for codebook, label in enumerate(row):
            label[codebook // channels : codebook // channels + example.counted_from] = IGNORED
    text, mask = pad_texts([example.text for example in examples])
    melodies = [example.melody for example in examples if example.melody is not None]
    return MusicGenBatch(
        inputs,
        labels,
        text,
        mask,
        torch.tensor([example.heard for example in examples]),
        torch.from_numpy(np.stack(melodies)) if melodies else None,
        int((labels != IGNORED).sum()),
    )


def pad_texts(texts: Sequence[npt.NDArray[np.generic]]) -> tuple[Tensor, Tensor | None]:
    """(L,) ids or (L, D) states of each text to (B, L, ...) with zeros after the shorter ones, and (B, L) what is real;
    ``None`` where all is."""
    longest = max(len(text) for text in texts)
    padded = np.zeros((len(texts), longest, *texts[0].shape[1:]), dtype=texts[0].dtype)
    mask = np.zeros((len(texts), longest), dtype=bool)
    for row, real, text in zip(padded, mask, texts, strict=True):
        row[: len(text)] = text
        real[: len(text)] = True
    return torch.from_numpy(padded), None if mask.all() else torch.from_numpy(mask)
