"""``python -m support.tried_files FOLDER SECONDS``: prepares each file of a folder as a worker does, in hard bounds.

The kernel ends it where it takes more than ``MEMORY``, or than so many seconds of the processor. It says a line of JSON
for each file before and after: the last one names what did harm.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from dataclasses import asdict

from mtj_api.spec import AudioPreparation, MidiPreparation
from mtj_api.spec.dataset import Modality
from mtj_trainer.prepare.process import UnitTask, prepare_unit
from mtj_trainer.prepare.units import Unit
from mtj_trainer.storage import open_storage

MEMORY = 6 << 30
"""Of addresses; libraries that are only loaded have 4 GiB of them."""
CPU_SECONDS = 120
"""For libraries, and the files that take longest."""

AUDIO = AudioPreparation.model_validate(
    {"sampleRate": 16_000, "channels": 2, "segment": {"minSeconds": 0.5, "overlapSeconds": 0.1}}
)
MIDI = MidiPreparation.model_validate({"stepsPerBeat": 4})


def main(folder: str) -> None:
    """Try every file."""
    storage = open_storage(folder)
    with tempfile.TemporaryDirectory() as cache:
        for number, entry in enumerate(storage.list()):
            modality: Modality = "midi" if entry.key.endswith(".mid") else "audio"
            print(json.dumps({"file": entry.key}), flush=True)
            record = prepare_unit(UnitTask(Unit(str(number), modality, (entry,)), storage.url, cache, AUDIO, MIDI))
            print(json.dumps({"file": entry.key, "left_out": [asdict(one) for one in record.quarantined]}), flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]), int(sys.argv[2])))
    main(sys.argv[1])
