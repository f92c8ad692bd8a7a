"""The texts to play."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtj_api import JobError


def read_texts(given: Sequence[str], file: Path | None) -> list[str]:
    """The texts that were given, then those of a file, a line each; empty lines are passed over.

    Raises:
        JobError: there is none, or the file cannot be read.
    """
    texts = [text.strip() for text in given if text.strip()]
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise JobError(
                f"cannot read {file} ({reason})", where="--prompts", instead="name a file with a text a line"
            ) from None
        except UnicodeDecodeError:
            raise JobError(f"{file} is not text", where="--prompts", instead="write it in UTF-8") from None
        texts += [line.strip() for line in lines if line.strip()]
    if not texts:
        raise JobError(
            "there is nothing to play", where="TEXT", instead="give a text, or --prompts with a file of them"
        )
    return texts
