"""Files at URLs: one layer over folders and S3, so that no stage knows which it works on."""

from mtj_trainer.storage.store import Entry, Storage, open_storage

__all__ = ["Entry", "Storage", "open_storage"]
