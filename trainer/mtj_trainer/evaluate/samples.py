"""``samples/``: each composition as MIDI, WAV and MP3, and ``samples.json`` with what was asked and found.

Invariant: ``samples.json`` is written last; what it names is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mtj_trainer.evaluate.compose import Composition
from mtj_trainer.evaluate.sound import Audio, Sound, measure, to_mp3, to_wav
from mtj_trainer.storage import Storage

FOLDER = "samples"
INDEX = f"{FOLDER}/samples.json"
SAMPLE_RATE = 44_100

Renderer = Callable[[bytes], Audio]
"""The bytes of a MIDI file to (N, 2) samples at ``SAMPLE_RATE`` a second."""


def write_samples(
    output: Storage,
    compositions: Sequence[Composition],
    render: Renderer | None,
    done: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Write the compositions, in place of any that were there.

    Args:
        render: makes them audible; ``None`` writes MIDI alone.

    Returns:
        Figures: ``sample.NAME.seconds``, ``.peak``, ``.rms`` of each that was rendered, and ``samples.audible``,
        the share of them that are neither silent nor clipped nor shorter than their notes.
    """
    output.delete_tree(FOLDER)
    entries = []
    figures: dict[str, float] = {}
    audible = []
    for piece in compositions:
        name = piece.commission.name
        midi = bytes(piece.score.dumps_midi())
        output.write(f"{FOLDER}/{name}.mid", midi)
        entry = _entry(piece)
        if render is not None:
            silence = np.zeros((SAMPLE_RATE, 2), np.float32)
            audio = render(midi) if piece.found.notes else silence
            sound = measure(audio, SAMPLE_RATE)
            output.write(f"{FOLDER}/{name}.wav", to_wav(audio, SAMPLE_RATE))
            output.write(f"{FOLDER}/{name}.mp3", to_mp3(audio, SAMPLE_RATE))
            checks = _checks(sound, entry["seconds"])
            entry["files"] |= {"wav": f"{FOLDER}/{name}.wav", "mp3": f"{FOLDER}/{name}.mp3"}
            entry["sound"] = {"seconds": sound.seconds, "peak": sound.peak, "rms": sound.rms, **checks}
            figures |= {f"sample.{name}.{what}": entry["sound"][what] for what in ("seconds", "peak", "rms")}
            audible.append(all(checks.values()))
        entries.append(entry)
        done()
    if audible:
        figures["samples.audible"] = float(np.mean(audible))
    output.write(INDEX, (json.dumps(entries, indent=2, ensure_ascii=False) + "\n").encode())
    return figures


def _entry(piece: Composition) -> dict[str, Any]:
    commission, found = piece.commission, piece.found
    asked = {
        "key": commission.asked.key,
        "metre": commission.asked.metre,
        "tempo": commission.asked.tempo,
        "instruments": commission.asked.instruments,
        "bars": commission.bars,
    }
    return {
        "name": commission.name,
        "kind": commission.kind,
        "title": commission.title,
        "track": commission.track,
        "asked": asked,
        "found": {
            "key": found.key,
            "metre": found.metre,
            "tempo": round(found.tempo, 1) if found.tempo is not None else None,
            "instruments": found.programs,
            "notes": found.notes,
            "beats": found.beats,
        },
        "matches": piece.matches,
        "prompt_beats": piece.prompt_beats,
        "seconds": float(piece.score.to("second").end()) if found.notes else 0.0,
        "files": {"midi": f"{FOLDER}/{commission.name}.mid"},
    }


def _checks(sound: Sound, music_seconds: float) -> dict[str, bool]:
    return {
        "not_silent": not sound.is_silent,
        "not_clipped": not sound.is_clipped,
        # Encoders and synthesizers round to blocks; a tenth of a second more or less is no missing music.
        "whole": sound.seconds >= music_seconds - 0.1,
    }
