"""transformers without its chatter."""

from __future__ import annotations


def quiet_transformers() -> None:
    """Let transformers say nothing but what is wrong, and draw no bars.

    It warns of every token id beyond a decoder's vocabulary, and MusicGen's id for "no code" is one by design; weights
    that are missing in files are found and told by those who read them.
    """
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()
