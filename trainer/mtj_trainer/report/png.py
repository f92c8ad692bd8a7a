"""PNG files of a palette, written by hand: a picture of few colours is small, and needs no library."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE_COLOURS = 3


def palette_png(pixels: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]) -> bytes:
    """An 8-bit palette picture (ISO/IEC 15948).

    Args:
        pixels: (height, width) indices into the palette, from the top row downward.
        palette: (colours, 4) red, green, blue and opacity, at most 256 colours.

    Raises:
        ValueError: no pixel, or an index beyond the palette.
    """
    if not pixels.size or len(palette) > 256 or int(pixels.max()) >= len(palette):
        raise ValueError(f"{pixels.shape} pixels do not fit a palette of {len(palette)} colours")
    height, width = pixels.shape
    unfiltered = np.zeros((height, 1), np.uint8)
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _PALETTE_COLOURS, 0, 0, 0)),
            _chunk(b"PLTE", np.ascontiguousarray(palette[:, :3]).tobytes()),
            _chunk(b"tRNS", np.ascontiguousarray(palette[:, 3]).tobytes()),
            _chunk(b"IDAT", zlib.compress(np.hstack([unfiltered, pixels]).tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
