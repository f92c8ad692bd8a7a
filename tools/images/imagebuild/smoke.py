"""Tries an image: what a pod of it does first works without root, without rights and on a read-only root."""

from __future__ import annotations

import subprocess

from imagebuild.container import Container

_TORCH = "import torch; print(torch.__version__, torch.version.cuda); print(torch.ones(2) + torch.ones(2))"

_TUNE = """
import pathlib, pretty_midi
pathlib.Path("music").mkdir()
for number in range(3):
    tune = pretty_midi.PrettyMIDI()
    piano = pretty_midi.Instrument(program=0)
    piano.notes = [pretty_midi.Note(80, 60 + number + step, step / 2, step / 2 + 0.4) for step in range(12)]
    tune.instruments.append(piano)
    tune.write(f"music/{number}.mid")
"""

_JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {name: smoke}
spec:
  dataset: {source: ./music, modalities: [midi]}
  output: ./out
"""


def try_operator(operator: Container) -> None:
    """The command answers, and the operator starts and says that there is no cluster.

    Raises:
        RuntimeError: it does not; the text says what it did instead.
    """
    _expect(operator.run("mtj", "--help"), 0, "MusicTrainingJob")
    started = operator.run("python3", "-m", "mtj_operator.control", "--trainer-image=mtj-trainer")
    _expect(started, 65, "no cluster is configured")


def try_trainer(trainer: Container) -> None:
    """The command answers, PyTorch computes, and a few seconds of music are prepared.

    Raises:
        RuntimeError: it does not; the text says what it did instead.
    """
    _expect(trainer.run("mtj", "--help"), 0, "MusicTrainingJob")
    _expect(trainer.run("python3", "-c", _TORCH), 0, "tensor([2., 2.])")
    _expect(trainer.run("fluidsynth", "--version"), 0, "FluidSynth")
    _expect(trainer.run("python3", "-", stdin=_TUNE), 0, "")
    _expect(trainer.run("sh", "-c", "cat > job.yaml", stdin=_JOB), 0, "")
    _expect(trainer.run("mtj", "run", "job.yaml"), 0, "report.html")


def _expect(done: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    said = done.stdout + done.stderr
    if done.returncode != code or words not in said:
        asked = " ".join(done.args[-1:])
        raise RuntimeError(
            f"{asked}: exit status {done.returncode} in place of {code}, without '{words}':\n{said[-4000:]}"
        )
