"""What a recording's container says about its length, read from the bytes and not through a decoder.

Decoders are lenient: a file that was cut off in transfer plays to the cut and then ends in silence or without a word.
Here the header's promise is read, so that it can be held against what was decoded.
Invariant: nothing here raises; bytes that make no sense promise nothing.
"""

from __future__ import annotations

import struct

_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3")
_UNKNOWN_SIZE = (0x7FFFFFFF, 0xFFFFFFFF)  # what programs write that stream to a pipe and cannot go back
_OGG_FIRST_PAGE, _OGG_LAST_PAGE = 0x02, 0x04


def looks_like_audio(data: bytes) -> bool:
    """Whether the first bytes are those of a wav, flac, ogg or mp3 file."""
    return data.startswith(_MAGIC) or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0)


def is_cut_short(data: bytes) -> bool:
    """Whether a wav or ogg file ends before its container says so.

    A wav file names the bytes of its data chunk; the last page of an ogg stream is marked as the last (RFC 3533).
    """
    if data.startswith(b"RIFF"):
        return _wav_is_cut(data)
    if data.startswith(b"OggS"):
        return _ogg_is_cut(data)
    return False


def is_chained(data: bytes) -> bool:
    """Whether an ogg file holds streams one after another (RFC 3533, section 4), as joined files do."""
    at, begun = 0, False
    while data[at : at + 4] == b"OggS" and len(data) >= at + 27:
        first = bool(data[at + 5] & _OGG_FIRST_PAGE)
        if first and begun:
            return True
        begun = not first
        segments = data[at + 26]
        at += 27 + segments + sum(data[at + 27 : at + 27 + segments])
    return False


def _wav_is_cut(data: bytes) -> bool:
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        if name == b"data":
            missing = at + 8 + size - len(data)
            return size not in _UNKNOWN_SIZE and missing > max(8, size // 1000)
        at += 8 + size + size % 2
    return len(data) > 12  # the file ends before its data chunk begins


def _ogg_is_cut(data: bytes) -> bool:
    at = data.rfind(b"OggS")
    if len(data) < at + 27:
        return True
    segments = data[at + 26]
    complete = at + 27 + segments + sum(data[at + 27 : at + 27 + segments]) <= len(data)
    return not (complete and data[at + 5] & _OGG_LAST_PAGE)
