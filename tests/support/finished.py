"""A job's output as its earlier stages leave it: real chorales prepared, and a tiny model trained on them a little."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mtj_api import MusicTrainingJob, parse_job
from mtj_trainer.families.symbolic import SymbolicConfig, SymbolicModel, save_model
from mtj_trainer.families.symbolic.model import token_nll
from mtj_trainer.families.symbolic.sequences import Piece, collate
from mtj_trainer.prepare.dataset import Sample, Track
from mtj_trainer.prepare.midi import prepare_midi
from mtj_trainer.prepare.shard import ShardWriter
from mtj_trainer.prepare.split import Side
from mtj_trainer.storage import open_storage
from mtj_trainer.tokens import Tokenizer, make_tokenizer

CHORALES = ("bwv66.6", "bwv269", "bwv253", "bwv254", "bwv255", "bwv256", "bwv257", "bwv258", "bwv259", "bwv260")
SIDES: tuple[Side, ...] = ("train",) * 6 + ("validation",) * 2 + ("test",) * 2
STEPS = 80

JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: chorales}}
spec:
  dataset:
    importer: bach-chorales
    midi: {{tokenizer: {tokenizer}}}
  model:
    architecture: {{layers: 2, width: 32, heads: 2, context: 128}}
  training: {{steps: 80}}
  evaluation:
    continuations: 1
    requests:
      - {{key: Gmaj, metre: 4/4, tempo: 96.0, bars: 2}}
  output: {output}
"""


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


def finished_job(output: Path, files: dict[str, bytes], tokenizer: str = "grid") -> MusicTrainingJob:
    """A resolved job whose prepare and train stages are done, with their records, curves and weights in ``output``."""
    job = parse_job(JOB.format(output=json.dumps(str(output)), tokenizer=tokenizer)).job
    vocabulary = make_tokenizer(job.spec.dataset.midi)
    dataset = _prepare(job, output, files, vocabulary)
    model, losses = _train_a_little(dataset, vocabulary)
    storage = open_storage(str(output))
    save_model(storage.child("train/best"), model.config, vocabulary, dict(model.state_dict()))
    rows = [
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
    rows += [{"step": step, "validation_nll": losses[step - 1] + 0.1} for step in range(20, STEPS + 1, 20)]
    storage.write("train/metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    record = {
        "fingerprint": "0",
        "steps": STEPS,
        "curves": "train/metrics.jsonl",
        "weights": "train/best",
        "figures": {"train.steps": STEPS, "train.seconds": 3.0, "train.tokens_per_second": 9_500.0},
    }
    storage.write("stages/train.json", json.dumps(record).encode())
    return job


def _prepare(
    job: MusicTrainingJob, output: Path, files: dict[str, bytes], vocabulary: Tokenizer
) -> list[tuple[Side, Piece]]:
    unit = hashlib.sha256(b"".join(files.values())).hexdigest()
    (output / "data" / "units").mkdir(parents=True)
    tracks, samples, pieces = [], [], []
    with ShardWriter(output / "data" / "units" / f"{unit}.tar") as shard:
        for (name, data), side in zip(files.items(), SIDES, strict=True):
            prepared = prepare_midi(data, job.spec.dataset.midi, vocabulary)
            member = shard.add(f"{name}.tokens.npy", _npy(prepared.tokens))
            known = prepared.conditions
            tracks.append(
                Track(
                    id=name,
                    file_path=f"{name}.mid",
                    files=(f"{name}.mid",),
                    split=side,
                    duration=prepared.seconds,
                    title=f"Chorale {name.upper()}",
                    composer="Johann Sebastian Bach",
                    tempo=known.tempo,
                    key=known.key,
                    metre=known.metre,
                    programs=known.instruments or (),
                )
            )
            samples.append(
                Sample("midi", unit, member.name, member.offset, member.size, len(prepared.tokens), name, side)
            )
            pieces.append((side, Piece(vocabulary, prepared.tokens, known)))
    storage = open_storage(str(output))
    manifest = {
        "quarantined": [
            {"file": "broken <b>.mid", "reason": "broken-midi", "detail": "is not a readable MIDI file"},
            {"file": "empty.wav", "reason": "empty-file", "detail": "is empty"},
        ],
        "complete": True,
    }
    storage.write("data/datasets/d/tracks.jsonl", "".join(track.to_json() + "\n" for track in tracks).encode())
    storage.write("data/datasets/d/samples.jsonl", "".join(sample.to_json() + "\n" for sample in samples).encode())
    storage.write("data/datasets/d/manifest.json", json.dumps(manifest).encode())
    record = {"dataset": f"{output}/data/datasets/d", "figures": {"prepare.tracks": 10, "prepare.quarantined": 2}}
    storage.write("stages/prepare.json", json.dumps(record).encode())
    return pieces


def _npy(tokens: np.ndarray) -> bytes:
    import io

    content = io.BytesIO()
    np.save(content, tokens, allow_pickle=False)
    return content.getvalue()


def _train_a_little(pieces: list[tuple[Side, Piece]], vocabulary: Tokenizer) -> tuple[SymbolicModel, list[float]]:
    torch.manual_seed(0)
    model = SymbolicModel(SymbolicConfig(vocabulary.size, vocabulary.feature_sizes, 2, 32, 2, 128))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    train = [piece for side, piece in pieces if side == "train"]
    losses = []
    for step in range(STEPS):
        rows = [
            piece.row((step * 37 + 11 * number) % (piece.positions - 64), 128) for number, piece in enumerate(train)
        ]
        batch = collate(rows, vocabulary.pad)
        loss = token_nll(model(batch.tokens, batch.features), batch.targets).sum() / batch.counted
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return model.eval(), losses
