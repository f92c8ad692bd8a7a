"""How a piece that is longer than a model's context is cut: for training, and for predicting all of it once."""

from __future__ import annotations


def window_count(positions: int, window: int) -> int:
    """Windows that it takes to see every position of a piece once."""
    return max(1, -(-positions // window))


def training_start(positions: int, window: int, index: int, shift: float) -> int:
    """Where training window ``index`` of a piece begins.

    The windows divide the piece evenly and are full wherever the piece is long enough, so that hardly any of a
    batch is padding; ``shift`` in [0, 1), another one each epoch, moves the cuts.
    """
    count = window_count(positions, window)
    room = positions - window
    if room <= 0:
        return 0
    return round(room * (index + shift) / count) if count > 1 else round(room * shift)


def sliding_windows(positions: int, window: int) -> list[tuple[int, int]]:
    """(first position of a window, first position that it counts): each position is counted once.

    Every position but those of the first window is predicted from at least half a window of context.
    """
    windows = [(0, 0)]
    stride = max(1, window // 2)
    while windows[-1][0] + window < positions:
        counted_from = windows[-1][0] + window
        first = min(windows[-1][0] + stride, positions - window)
        windows.append((first, counted_from))
    return windows
