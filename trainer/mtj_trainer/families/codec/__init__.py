"""Family ``codec``: a neural audio codec that is trained from scratch and turns audio into codes."""

from mtj_trainer.families.codec.codec import Codec, codec_of, load_codec

__all__ = ["Codec", "codec_of", "load_codec"]
