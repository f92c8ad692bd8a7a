"""Processes that compile at the same time do not write to one folder, and later ones find what was compiled."""

from __future__ import annotations

import os
from pathlib import Path

from mtj_trainer.prepare.audio.compiled import claimed


def test_a_folder_is_one_processs_and_the_next_ones_after_it(tmp_path: Path) -> None:
    first, lock = claimed(tmp_path)
    second, other = claimed(tmp_path)
    assert first != second
    os.close(lock)
    again, third = claimed(tmp_path)
    assert again == first
    for one in (other, third):
        os.close(one)
