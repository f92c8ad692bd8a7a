"""A machine with GPUs, as far as NVML can tell: the stand-in for the driver's library, compiled (``nvml/nvml.c``)."""

from __future__ import annotations

import subprocess
from pathlib import Path


def build(folder: Path) -> Path:
    """Compile it into a folder, which is to come first in ``LD_LIBRARY_PATH``; the folder."""
    source = Path(__file__).parent / "nvml/nvml.c"
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, "-o", str(folder / "libnvidia-ml.so.1"), str(source)], check=True)
    return folder
