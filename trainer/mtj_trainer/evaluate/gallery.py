"""``samples/`` of a model of sound: clips side by side, and ``samples.json`` with what was asked and found.

Invariant: ``samples.json`` is written last; what it names is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mtj_trainer.evaluate.samples import FOLDER, INDEX
from mtj_trainer.evaluate.sound import Audio, measure, to_mp3, to_wav
from mtj_trainer.slug import slug
from mtj_trainer.storage import Storage

Kind = Literal["generated", "reconstruction"]


@dataclass(frozen=True)
class Exhibit:
    """Clips of one piece to compare.

    Attributes:
        kind: of the piece.
        title: what a person calls it.
        takes: (n,) mono clips by what they are; the first is the model's.
        text: that was played; empty where there was none.
        asked, found: values by name, such as the tempo.
        matches: for what can be judged, whether it was met.
    """

    kind: Kind
    title: str
    takes: Mapping[str, Audio]
    text: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)
    matches: Mapping[str, bool] = field(default_factory=dict)


def write_gallery(output: Storage, exhibits: Sequence[Exhibit], rate: int) -> dict[str, float]:
    """Write the exhibits, in place of any samples that were there.

    Returns:
        ``samples.audible``: the share of the model's own clips that are neither silent nor clipped.
    """
    output.delete_tree(FOLDER)
    entries = []
    audible = []
    for number, exhibit in enumerate(exhibits, start=1):
        name = f"{number:02d}-{slug(exhibit.title)}"
        takes = []
        for label, audio in exhibit.takes.items():
            sound = measure(audio, rate)
            stem = f"{FOLDER}/{name}-{slug(label)}"
            output.write(f"{stem}.wav", to_wav(audio, rate))
            output.write(f"{stem}.mp3", to_mp3(audio, rate))
            takes.append(
                {
                    "label": label,
                    "files": {"wav": f"{stem}.wav", "mp3": f"{stem}.mp3"},
                    "sound": {
                        "seconds": sound.seconds,
                        "peak": sound.peak,
                        "rms": sound.rms,
                        "not_silent": not sound.is_silent,
                        "not_clipped": not sound.is_clipped,
                    },
                }
            )
            if len(takes) == 1:
                audible.append(not sound.is_silent and not sound.is_clipped)
        entries.append(
            {
                "name": name,
                "kind": exhibit.kind,
                "title": exhibit.title,
                "text": exhibit.text,
                "asked": exhibit.asked,
                "found": exhibit.found,
                "matches": exhibit.matches,
                "takes": takes,
            }
        )
    output.write(INDEX, (json.dumps(entries, indent=2, ensure_ascii=False) + "\n").encode())
    return {"samples.audible": float(np.mean(audible))} if audible else {}
