"""Many channels to one or two, by ITU-R BS.775-3, table 2: centre and surrounds at -3 dB, no low-frequency effects.

Invariant: a matrix has one row a source channel and one column a target channel; the low-frequency row is zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_MINUS_3_DB = float(np.sqrt(0.5))

_TO_STEREO = {
    "L": (1.0, 0.0),
    "R": (0.0, 1.0),
    "C": (_MINUS_3_DB, _MINUS_3_DB),
    "LFE": (0.0, 0.0),
    "Ls": (_MINUS_3_DB, 0.0),
    "Rs": (0.0, _MINUS_3_DB),
    "Cs": (0.5, 0.5),
    "Lr": (_MINUS_3_DB, 0.0),
    "Rr": (0.0, _MINUS_3_DB),
}

_WAV_ORDER = {
    3: "L R C",
    4: "L R Ls Rs",
    5: "L R C Ls Rs",
    6: "L R C LFE Ls Rs",
    7: "L R C LFE Cs Ls Rs",
    8: "L R C LFE Lr Rr Ls Rs",
}
"""By number of channels, as wav and flac store them (RFC 9639, section 9.1.3)."""

_VORBIS_ORDER = {
    3: "L C R",
    4: "L R Ls Rs",
    5: "L C R Ls Rs",
    6: "L C R Ls Rs LFE",
    7: "L C R Ls Rs Cs LFE",
    8: "L C R Ls Rs Lr Rr LFE",
}
"""The same for ogg (Vorbis I specification, section 4.3.9; RFC 7845, section 5.1.1.2)."""


def mix_matrix(channels: int, target: int, *, vorbis_order: bool = False) -> npt.NDArray[np.float32]:
    """What each source channel gives to each target channel: (channels, target).

    One channel goes to both sides as it is. Two become one by their mean. A layout that no standard names gives
    every channel to both sides alike.
    """
    order = (_VORBIS_ORDER if vorbis_order else _WAV_ORDER).get(channels)
    if order is not None:
        stereo = np.array([_TO_STEREO[name] for name in order.split()])
    elif channels == 2:
        stereo = np.eye(2)
    else:
        stereo = np.full((channels, 2), 1.0 / channels)
    matrix = stereo if target == 2 else stereo.mean(axis=1, keepdims=True)
    return np.ascontiguousarray(matrix, dtype=np.float32)
