"""How long an mp3 file is: what its header promises, and what its frames add up to.

An mp3 file is a row of frames, and only an optional first one (Xing, Info) says how many. Without it libsndfile guesses
from the size and the bit rate at the beginning and stops there: of a file of variable bit rate it may read half.
Invariant: nothing here raises; bytes that make no sense add up to nothing.
Sources: ISO 11172-3, section 2.4.1.3; ISO 13818-3 for the lower rates; the Xing header as LAME writes it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MPEG_1, _MPEG_2, _MPEG_2_5 = 3, 2, 0
_LAYER_3 = 1
_KILOBITS = {
    _MPEG_1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    _MPEG_2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)
_HALVINGS = {_MPEG_1: 0, _MPEG_2: 1, _MPEG_2_5: 2}
_MONO = 3
_BIT_RATE_OF_INFO = 9  # 128 or 80 kbit/s: room for the header at every sample rate
_HAS_FRAME_COUNT = 1


@dataclass(frozen=True)
class _Frame:
    """A frame's place and form: its first byte, size in bytes, samples a channel and a second, and raw header."""

    at: int
    size: int
    samples: int
    rate: int
    header: bytes

    @property
    def seconds(self) -> float:
        return self.samples / self.rate

    @property
    def info_at(self) -> int:
        """Where a Xing header would begin, after the side information."""
        mono = self.header[3] >> 6 == _MONO
        return 4 + ((17 if mono else 32) if self.samples == 1152 else (9 if mono else 17))


def promised_seconds(data: bytes) -> float | None:
    """The duration that the Xing or Info header names; ``None`` where there is no such header."""
    first = next(_frames(data), None)
    count = None if first is None else _promised_frames(data, first)
    return None if first is None or count is None else count * first.seconds


def counted_seconds(data: bytes) -> float:
    """The duration that all whole frames add up to, without the one that holds the header."""
    frames = list(_frames(data))
    if frames and _promised_frames(data, frames[0]) is not None:
        frames = frames[1:]
    return sum(frame.seconds for frame in frames)


def with_counted_length(data: bytes) -> bytes:
    """The same audio behind a header that names the right number of frames."""
    frames = list(_frames(data))
    if frames and _promised_frames(data, frames[0]) is not None:
        frames = frames[1:]
    if not frames:
        return data
    sync, form, rates, mode = frames[0].header
    header = bytes([sync, form | 1, rates & 0x0C | _BIT_RATE_OF_INFO << 4, mode])  # without checksum and padding
    info = _parse(header, 0)
    if info is None:
        return data
    name_and_count = b"Xing" + struct.pack(">II", _HAS_FRAME_COUNT, len(frames))
    return (header + bytes(info.info_at - 4) + name_and_count).ljust(info.size, b"\0") + data[frames[0].at :]


def _promised_frames(data: bytes, first: _Frame) -> int | None:
    at = first.at + first.info_at
    if data[at : at + 4] not in (b"Xing", b"Info") or len(data) < at + 12:
        return None
    flags, count = struct.unpack(">II", data[at + 4 : at + 12])
    return count if flags & _HAS_FRAME_COUNT and count else None


def _frames(data: bytes) -> Iterator[_Frame]:
    """Every whole frame in order; what lies between frames is skipped."""
    at = _after_id3(data)
    in_step = False
    while (at := data.find(b"\xff", at)) >= 0:
        frame = _parse(data, at)
        follows = in_step or (frame is not None and _parse(data, at + frame.size) is not None)
        in_step = frame is not None and follows and at + frame.size <= len(data)
        if in_step and frame is not None:
            yield frame
            at += frame.size
            in_step = data[at : at + 1] == b"\xff"
        else:
            at += 1


def _parse(data: bytes, at: int) -> _Frame | None:
    """The layer III frame whose header is at ``at``, or ``None``."""
    header = data[at : at + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0 or header[1] >> 1 & 3 != _LAYER_3:
        return None
    version, kilobits_index = header[1] >> 3 & 3, header[2] >> 4
    rate_index, padding = header[2] >> 2 & 3, header[2] >> 1 & 1
    if version not in _HALVINGS or rate_index == 3 or kilobits_index in (0, 15):
        return None
    rate = _RATES[rate_index] >> _HALVINGS[version]
    kilobits = _KILOBITS[_MPEG_1 if version == _MPEG_1 else _MPEG_2][kilobits_index]
    samples = 1152 if version == _MPEG_1 else 576
    return _Frame(at, samples // 8 * 1000 * kilobits // rate + padding, samples, rate, header)


def _after_id3(data: bytes) -> int:
    """Where the audio begins: an ID3v2 tag names its size in four bytes of seven bits, without its own ten."""
    if not data.startswith(b"ID3") or len(data) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
