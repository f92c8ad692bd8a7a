"""Facts of music that several stages share: keys and their profiles."""

from mtj_trainer.music.key import KEYS, estimate_key, key_correlations

__all__ = ["KEYS", "estimate_key", "key_correlations"]
