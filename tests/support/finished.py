"""A job's output as its earlier stages leave it: chorales, prepared by the real stage, and a tiny model of them."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile
import torch

from mtj_api import MusicTrainingJob, parse_job
from mtj_trainer.evaluate.stage import evaluate
from mtj_trainer.families.symbolic import SymbolicConfig, SymbolicModel, save_model
from mtj_trainer.families.symbolic.model import token_nll
from mtj_trainer.families.symbolic.sequences import Piece, collate
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.driver import prepare
from mtj_trainer.prepare.pool import Done, WorkerPool
from mtj_trainer.storage import open_storage
from mtj_trainer.tokens import Conditions, make_tokenizer

CHORALES = ("bwv66.6", "bwv269", "bwv253", "bwv254", "bwv255", "bwv256", "bwv257", "bwv258", "bwv259", "bwv260")
STEPS = 160

MODEL_JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: chorales}}
spec:
  dataset:
    source: {source}
    midi: {{tokenizer: {tokenizer}}}
    split: {{train: 0.6, validation: 0.2, test: 0.2, keepTogether: []}}
  model:
    architecture: {{layers: 2, width: 32, heads: 2, context: 128}}
  training: {{steps: 160}}
  evaluation:
    continuations: 1
    requests:
      - {{key: Gmaj, metre: 4/4, tempo: 96.0, bars: 2}}
  output: {output}
"""

DATA_JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: recordings}}
spec:
  dataset:
    source: {source}
    audio: {{sampleRate: 16000, segment: {{minSeconds: 2.0, maxSeconds: 4.0, overlapSeconds: 0.5, boundaries: none}}}}
    split: {{keepTogether: []}}
  output: {output}
"""


class ThisProcess:
    """A pool without workers, for a few small files."""

    def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Done[Any, Any]]:
        for item in items:
            yield Done(item, function(item))


def chorale_midi(names: Sequence[str] = CHORALES) -> dict[str, bytes]:
    """MIDI files of Bach's chorales from music21's corpus, by their catalogue number."""
    import music21

    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / f"{name}.mid"
            music21.corpus.parse(f"bach/{name}").write("midi", path)
            files[name] = path.read_bytes()
    return files


def trained_job(folder: Path, files: dict[str, bytes], tokenizer: str = "grid") -> MusicTrainingJob:
    """A resolved job whose prepare and train stages are done, with records, curves and weights, below ``folder``."""
    source, output = _source(folder, files), folder / "out"
    text = MODEL_JOB.format(source=json.dumps(str(source)), output=json.dumps(str(output)), tokenizer=tokenizer)
    job = parse_job(text).job
    record = prepare(job, cast(WorkerPool, ThisProcess()))
    dataset = PreparedDataset.open(record["dataset"], folder)
    vocabulary = make_tokenizer(job.spec.dataset.midi)
    pieces = []
    for sample in dataset.samples("midi", "train"):
        track = dataset.tracks[sample.track]
        tokens = dataset.read_tokens(sample)
        pieces.append(Piece(vocabulary, tokens, Conditions(track.key, track.metre, track.tempo, track.programs)))
    torch.manual_seed(0)
    model = SymbolicModel(SymbolicConfig(vocabulary.size, vocabulary.feature_sizes, 2, 32, 2, 128))
    losses = _train_a_little(model, pieces, vocabulary.pad)
    storage = open_storage(str(output))
    save_model(storage.child("train/best"), model.config, vocabulary, dict(model.state_dict()))
    rows: list[dict[str, float]] = [
        {
            "step": step,
            "loss": loss,
            "learning_rate": 1e-3 * min(1.0, step / 20),
            "gradient_norm": 1.0,
            "tokens_per_second": 9_000.0 + 10 * step,
            "data_wait_fraction": 0.01,
        }
        for step, loss in enumerate(losses, start=1)
    ]
    rows += [{"step": step, "validation_loss": losses[step - 1] + 0.1} for step in range(20, STEPS + 1, 20)]
    storage.write("train/metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    trained = {
        "fingerprint": "0",
        "steps": STEPS,
        "dataset": record["dataset"],
        "curves": "train/metrics.jsonl",
        "weights": "train/best",
        "figures": {"train.steps": STEPS, "train.seconds": 3.0, "train.tokens_per_second": 9_500.0},
    }
    storage.write("stages/train.json", json.dumps(trained).encode())
    return job


def prepared_job(folder: Path, files: dict[str, bytes]) -> MusicTrainingJob:
    """A resolved job without a model, with recordings and MIDI, whose prepare stage is done."""
    source = _source(folder, files)
    for number, pitch in enumerate((220.0, 277.2, 329.6)):
        time = np.arange(16_000 * 9) / 16_000
        tone = 0.3 * np.sin(2 * np.pi * pitch * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 0.7 * time))
        soundfile.write(source / f"tone {number}.wav", np.stack([tone, tone], axis=1), 16_000)
    (source / "broken <b>.wav").write_bytes(b"no sound at all")
    job = parse_job(DATA_JOB.format(source=json.dumps(str(source)), output=json.dumps(str(folder / "out")))).job
    prepare(job, cast(WorkerPool, ThisProcess()))
    return job


def _source(folder: Path, files: dict[str, bytes]) -> Path:
    source = folder / "source"
    source.mkdir(parents=True)
    for name, data in files.items():
        (source / f"{name}.mid").write_bytes(data)
    (source / "broken <b>.mid").write_bytes(b"MThd and nothing else")
    (source / "empty.mid").write_bytes(b"")
    return source


def _train_a_little(model: SymbolicModel, pieces: Sequence[Piece], pad: int) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for step in range(STEPS):
        starts = ((step * 37 + 11 * number) % (piece.positions - 64) for number, piece in enumerate(pieces))
        batch = collate([piece.row(start, 128) for start, piece in zip(starts, pieces, strict=True)], pad)
        loss = token_nll(model(batch.tokens, batch.features), batch.targets).sum() / batch.counted
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    model.eval()
    return losses


@cache
def chorales() -> dict[str, bytes]:
    """``chorale_midi``, read once by a test run."""
    return chorale_midi()


@cache
def evaluated_job() -> MusicTrainingJob:
    """A trained job that was evaluated, made once by a test run; who changes its output works on a copy."""
    folder = Path(tempfile.mkdtemp(prefix="evaluated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    job = trained_job(folder, chorales())
    evaluate(job)
    return job


def copy_of(job: MusicTrainingJob, folder: Path) -> MusicTrainingJob:
    """The same job with a copy of its output in ``folder``."""
    shutil.copytree(job.spec.output, folder / "out")
    spec = job.spec.model_copy(update={"output": str(folder / "out")})
    return job.model_copy(update={"spec": spec})
