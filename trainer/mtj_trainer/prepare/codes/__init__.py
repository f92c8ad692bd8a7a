"""What a language model of a codec's tokens reads: codes of prepared recordings, and states of their captions."""

from mtj_trainer.prepare.codes.dataset import CodesDataset, CodesInfo, CodesSample

__all__ = ["CodesDataset", "CodesInfo", "CodesSample"]
