"""The index of audio samples names files that are there, and says what was asked and heard."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mtj_trainer.evaluate.audio.copies import Likeness
from mtj_trainer.evaluate.audio.hearing import Hearing
from mtj_trainer.evaluate.audio.samples import AudioSample, Take, write_audio_samples
from mtj_trainer.evaluate.samples import INDEX
from mtj_trainer.storage import open_storage
from support.tunes import RATE, tune


def test_takes_are_written_whole_and_figures_are_of_the_judged_one(tmp_path: Path) -> None:
    output = open_storage(f"file://{tmp_path}")
    output.write("samples/old.wav", b"of another run")
    music = tune(0, 1.5)
    silence = np.zeros(RATE, np.float32)
    samples = [
        AudioSample(
            "reconstruction-1",
            "reconstruction",
            "Ein feste Burg",
            [Take("original", "Original", music), Take("reconstruction", "Reconstruction", silence, {"snr": 0.0})],
            judged="reconstruction",
            track="bwv80",
        ),
        AudioSample(
            "generated-1",
            "generated",
            "calm",
            [Take("after", "After training", music, {"odd": float("nan")})],
            judged="after",
            text="calm",
            asked=Hearing(120, "Cmaj"),
            found=Hearing(60, "Gmaj"),
            likeness=Likeness(0.4, 2, 0.0, 3.0),
        ),
    ]
    done = []
    figures = write_audio_samples(output, samples, RATE, lambda: done.append(1))
    assert len(done) == 2
    assert figures["samples.audible"] == 0.5
    assert figures["sample.reconstruction-1.peak"] == 0
    assert figures["sample.generated-1.seconds"] == pytest.approx(1.5)

    reconstruction, generated = json.loads(output.read(INDEX))
    assert reconstruction["seconds"] == pytest.approx(1.5)
    assert [take["name"] for take in reconstruction["takes"]] == ["original", "reconstruction"]
    assert reconstruction["takes"][1]["figures"] == {"snr": 0.0}
    assert generated["takes"][0]["figures"] == {}, "figures that are no numbers are left out"
    assert generated["matches"] == {"tempo": True, "key": False}
    assert generated["likeness"]["similarity"] == 0.4
    for entry in (reconstruction, generated):
        for take in entry["takes"]:
            for kind in ("wav", "mp3"):
                audio, rate = soundfile.read(io.BytesIO(output.read(take["files"][kind])))
                assert rate == RATE
                assert len(audio) / rate == pytest.approx(take["sound"]["seconds"], abs=0.2)
    assert not output.exists("samples/old.wav")
