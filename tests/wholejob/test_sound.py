"""The guide to models of sound, carried out: a codec and a MusicGen on top of it, from rendered chorales to sound.

One waits for the other, each is published in the form that transformers loads, and an adaptation alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mtj_trainer.render import render_midi
from support.guides import Follower, Settings, blocks, named
from support.prepared import chorales
from support.scores import midi_bytes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GUIDE = named("sound")
RATE = 16_000

FOR_ALL = {"spec.training.precision": "fp32", "spec.monitoring.metricsPort": 0}
SMALL: Settings = {
    "codec": {
        "spec.dataset.split": "{train: 0.6, validation: 0.2, test: 0.2}",
        "spec.dataset.audio.segment": "{minSeconds: 2, maxSeconds: 6}",
        "spec.model.codecArchitecture": "{encoderWidth: 8, decoderWidth: 64, codebooks: 3, codebookSize: 32}",
        "spec.training.steps": 30,
        "spec.training.batch.size": 2,
        "spec.training.cropSeconds": 0.4,
        "spec.evaluation": "{everySteps: 15, samples: 3, seconds: 2}",
        **FOR_ALL,
    },
    "player": {
        "spec.model.architecture": "{layers: 1, width: 32, heads: 2, context: 64}",
        "spec.training.steps": 30,
        "spec.training.batch.size": 4,
        "spec.evaluation": "{everySteps: 15, samples: 3, seconds: 1.5, prompts: [a chorale in G major]}",
        **FOR_ALL,
    },
    "adapted": {
        "spec.training.steps": 6,
        "spec.training.batch.size": 4,
        "spec.training.processesPerNode": 2,
        "spec.evaluation": "{everySteps: 3, samples: 2, seconds: 1}",
        **FOR_ALL,
    },
}


class Studio(Follower):
    """A folder with recordings, in which the guide to models of sound is followed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SMALL)
        self.folder = folder
        recordings = folder / "recordings"
        recordings.mkdir()
        for number, score in enumerate(chorales(10).values()):
            sound = render_midi(midi_bytes(score), RATE)[: 6 * RATE]
            soundfile.write(recordings / f"chorale-{number}.flac", sound, RATE)
        rows = [
            {"file_path": f"chorale-{n}.flac", "key": f"{tonic} major", "genre": ["chorale"]}
            for n, tonic in enumerate(("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A"))
        ]
        (recordings / "metadata.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    def figures(self, job: str) -> dict[str, float]:
        found: dict[str, float] = json.loads((self.folder / "out" / job / "figures.json").read_text())
        return found

    def samples(self, job: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / "out" / job / "samples/samples.json").read_text())
        return found


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """With all of the guide done; its second job was begun while the first was running."""
    made = Studio(tmp_path_factory.mktemp("studio"))
    for block in blocks(GUIDE):
        if block.marks.startswith("file="):
            made.write(block)
    train_codec, train_player, play, adapt = (block.text for block in blocks(GUIDE) if block.marks == "run slow")
    codec = made.start(train_codec)
    assert codec.stdout is not None
    beginning = codec.stdout.readline()  # it runs: the other can see so
    player = made.start(train_player)
    for process, said in ((codec, beginning), (player, "")):
        printed, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said + printed
        if process is player:
            assert "waits for job my-codec" in printed
    made.run(play)
    made.run(adapt)
    return made


def test_the_codec_learns_and_is_measured_beside_what_needs_no_training(studio: Studio) -> None:
    figures = studio.figures("codec")
    assert figures["reconstruction.stft_distance"] < figures["baseline.untrained.stft_distance"]
    assert {"baseline.griffin_lim.stft_distance", "fad.spectrogram", "codec.codebook_use"} <= figures.keys()
    assert figures["codec.bits_per_second"] == 3 * 5 * RATE / 320
    rows = [json.loads(line) for line in (studio.folder / "out/codec/train/metrics.jsonl").read_text().splitlines()]
    logged = next(row for row in rows if "loss" in row)
    assert {"loss_stft", "loss_mel", "loss_waveform", "loss_commitment", "loss_codebook_use"} <= logged.keys()


def test_the_player_learns_and_is_measured_beside_the_codecs_ceiling(studio: Studio) -> None:
    figures = studio.figures("player")
    assert figures["heldout.nll"] < figures["baseline.untrained.nll"]
    assert figures["baseline.untrained.nll"] == pytest.approx(np.log(32), abs=0.5)
    for contestant in ("", "baseline.untrained.", "ceiling.", "floor."):
        assert f"{contestant}fad.spectrogram" in figures
    assert {"copies.share", "floor.copies.share", "text.separation", "generate.realtime_factor"} <= figures.keys()


def test_what_is_played_can_be_heard_and_seen(studio: Studio) -> None:
    for job, kind in (("codec", "reconstruction"), ("player", "generated"), ("style", "generated")):
        samples = studio.samples(job)
        assert {sample["kind"] for sample in samples} == {kind}
        for sample in samples:
            for take in sample["takes"]:
                sound, rate = soundfile.read(studio.folder / "out" / job / take["files"]["wav"])
                assert rate == RATE
                assert len(sound) / rate == pytest.approx(take["sound"]["seconds"], abs=0.01)
        page = (studio.folder / "out" / job / "report.html").read_text()
        assert page.count("<audio") >= sum(len(sample["takes"]) for sample in samples)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft asks for it
def test_transformers_and_peft_load_what_was_published(studio: Studio) -> None:
    from peft import PeftModel
    from transformers import DacModel, MusicgenForConditionalGeneration

    out = studio.folder / "out"
    codec = DacModel.from_pretrained(out / "codec/model")
    player = MusicgenForConditionalGeneration.from_pretrained(out / "player/model")
    name = "quantizer.quantizers.0.codebook.weight"
    assert player.audio_encoder.state_dict()[name].equal(codec.state_dict()[name])
    adapted = PeftModel.from_pretrained(player, out / "style/model")
    trained = [value for key, value in adapted.state_dict().items() if "lora_B" in key]
    assert trained
    assert all(value.abs().max() > 0 for value in trained)


def test_an_adaptation_is_small_and_plays(studio: Studio) -> None:
    size = {
        job: sum(path.stat().st_size for path in (studio.folder / "out" / job / "model").glob("*.safetensors"))
        for job in ("player", "style")
    }
    assert size["style"] < size["player"] / 10
    studio.run("mtj generate out/style 'a chorale in C minor' strings --seconds 1.5 --out s")
    files = sorted((studio.folder / "s").iterdir())
    assert [path.name for path in files] == ["001-a-chorale-in-c-minor.wav", "002-strings.wav"]
    assert {soundfile.info(path).frames for path in files} == {round(1.5 * RATE)}


def test_a_model_that_is_not_there_is_told_in_a_sentence(studio: Studio) -> None:
    playing = studio.start("mtj generate ./nowhere strings")
    printed, _ = playing.communicate(timeout=200)
    assert playing.returncode == 65
    assert "nowhere" in printed
    assert "Traceback" not in printed
