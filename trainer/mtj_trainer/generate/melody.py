"""A recording to follow the tune of."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mtj_api import JobError
from mtj_trainer.prepare.audio.decode import decode
from mtj_trainer.prepare.quarantine import Unusable


def read_melody(path: Path, sample_rate: int) -> Tensor:
    """(N,) mono samples at ``sample_rate`` of a wav, flac, ogg or mp3 file.

    Raises:
        JobError: the file cannot be read.
    """
    try:
        return torch.from_numpy(decode(path.read_bytes(), str(path), sample_rate, 1).samples[:, 0].copy())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise JobError(f"cannot read {path} ({reason})", where="--melody", instead="name a recording") from None
    except Unusable as why:
        raise JobError(why.detail, where="--melody", instead="name a wav, flac, ogg or mp3 file") from None
