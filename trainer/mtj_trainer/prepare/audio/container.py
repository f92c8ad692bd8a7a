"""What a recording's container says about its length, read from the bytes and not through a decoder.

Decoders are lenient: a file that was cut off in transfer plays to the cut and then ends in silence or without a word.
Here the header's promise is read, so that it can be held against what was decoded.
Invariant: nothing here raises; bytes that make no sense promise nothing.
"""

from __future__ import annotations

import struct

_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3")
_UNKNOWN_SIZE = (0x7FFFFFFF, 0xFFFFFFFF)  # what programs write that stream to a pipe and cannot go back
_OGG_LAST_PAGE = 0x04


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


def promised_mp3_seconds(data: bytes) -> float | None:
    """The duration that an mp3 file's Xing or Info header names; ``None`` where there is no such header."""
    start = 0
    if data.startswith(b"ID3") and len(data) > 10:  # four bytes of seven bits each, not counting the ten of the header
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    sync = data.find(b"\xff", start, start + 4096)
    header = data[sync : sync + 4]
    if sync < 0 or len(header) < 4 or header[1] & 0xE0 != 0xE0:
        return None
    version, rate_index = header[1] >> 3 & 3, header[2] >> 2 & 3
    if version == 1 or rate_index == 3:
        return None
    rate = (44_100, 48_000, 32_000)[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    samples_a_frame = 1152 if version == 3 else 576
    for tag in (b"Xing", b"Info"):
        at = data.find(tag, sync, sync + 64)
        if at > 0 and len(data) >= at + 12:
            flags, frames = struct.unpack(">II", data[at + 4 : at + 12])
            return frames * samples_a_frame / rate if flags & 1 and frames else None
    return None


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
