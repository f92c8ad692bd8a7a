"""Files at URLs: one layer over folders and S3, so that no stage knows which it works on."""

from mtj_trainer.storage.open import open_storage
from mtj_trainer.storage.store import Entry, Storage, StorageUnavailable

__all__ = ["Entry", "Storage", "StorageUnavailable", "open_storage"]
