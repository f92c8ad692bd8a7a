"""Tensors as safetensors files, without a second copy of them in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from mtj_trainer.stage import work_dir
from mtj_trainer.storage import Storage
from mtj_trainer.storage.local import own_folder


def store_tensors(
    folder: Storage, key: str, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors to a storage, by way of this machine's disk."""
    with own_folder(work_dir(), "tensors-") as local:
        path = local / "tensors.safetensors"
        save_tensors(tensors, path, metadata)
        folder.write(key, path)


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors to a file of this machine; names for the same memory, as tied weights have, get each their own."""
    found: dict[str, Tensor] = {}
    places = set()
    for name, tensor in tensors.items():
        found[name] = tensor.clone() if tensor.data_ptr() in places else tensor.contiguous()
        places.add(tensor.data_ptr())
    save_file(found, path, metadata)
