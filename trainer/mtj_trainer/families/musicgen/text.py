"""Captions as a text encoder reads them: a tokenizer made from a data set's own words, and states of whole captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mtj_trainer.families.musicgen.batch import pad_texts

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
SPECIAL = (PAD, END, UNKNOWN)
"""In T5's order: their ids are 0, 1 and 2."""

MOST_WORDS = 8192
"""A vocabulary has so many words, the most frequent ones."""

CAPTIONS_AT_ONCE = 32


def make_tokenizer(captions: Iterable[str]) -> Any:
    """A word-level tokenizer of these captions' words, in lower case; what it does not know is ``<unk>``.

    It is a fast tokenizer, which ``AutoTokenizer`` loads; like T5's it ends each text with ``</s>``.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    def made(vocabulary: dict[str, int]) -> Tokenizer:
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        separators = Regex(r"[\s,;:.!?()\"]+")  # a metre such as 4/4 is a word
        tokenizer.pre_tokenizer = pre_tokenizers.Split(separators, behavior="removed")
        return tokenizer

    splitter = made({name: index for index, name in enumerate(SPECIAL)})
    counts: Counter[str] = Counter()
    for caption in captions:
        words = splitter.pre_tokenizer.pre_tokenize_str(splitter.normalizer.normalize_str(caption))
        counts.update(word for word, _ in words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_WORDS]
    tokenizer = made({word: index for index, word in enumerate((*SPECIAL, *ranked))})
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN)


def token_ids(tokenizer: Any, captions: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """(L,) ids of each caption, its end included."""
    return [np.array(ids, dtype=np.int64) for ids in tokenizer(list(captions))["input_ids"]]


@torch.inference_mode()
def text_states(text_encoder: Any, tokenizer: Any, captions: Sequence[str]) -> list[npt.NDArray[np.float32]]:
    """(L, D) last states of each caption, in order."""
    found: list[npt.NDArray[np.float32]] = []
    was_training = text_encoder.training
    text_encoder.eval()
    for start in range(0, len(captions), CAPTIONS_AT_ONCE):
        ids = token_ids(tokenizer, captions[start : start + CAPTIONS_AT_ONCE])
        padded, mask = pad_texts(ids)
        known = {"attention_mask": mask.to(text_encoder.device)} if mask is not None else {}
        states = text_encoder(input_ids=padded.to(text_encoder.device), **known).last_hidden_state
        found += [row[: len(text)].float().cpu().numpy() for row, text in zip(states, ids, strict=True)]
    text_encoder.train(was_training)
    return found
