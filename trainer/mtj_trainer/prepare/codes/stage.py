"""The last part of preparing for a language model of a codec's tokens: codes of every segment, states of every caption.

    prepared data, codec, text encoder -> shards (content-addressed) -> codes of a data set (shards in order)

Invariant: each shard is looked for under its name before it is made. A rerun makes what is missing and nothing else;
with nothing missing it loads no model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mtj_api import JobError, MusicTrainingJob
from mtj_trainer.prepare.codes.arrays import StoredArray, complete_shards, read_record
from mtj_trainer.prepare.codes.chunks import AudioChunk, TextChunk, audio_chunks, text_chunks
from mtj_trainer.prepare.codes.encoders import Encoders, find_encoders, load_checkpoint
from mtj_trainer.prepare.codes.manifest import CodesContents, set_name, set_url, write_codes
from mtj_trainer.prepare.dataset import PreparedDataset, Sample
from mtj_trainer.prepare.pool import WorkerPool
from mtj_trainer.prepare.split import SIDES
from mtj_trainer.progress import Progress, clock_text
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import Storage, open_storage

READERS = 16
"""How many records are read at a time; they are small, and may lie far away."""

Made = dict[str, tuple[StoredArray, ...]]
"""What is in shards, by their names."""


@dataclass(frozen=True)
class Codes:
    """Codes of a data set.

    Attributes:
        url: for ``CodesDataset.open``.
        made, reused: shards that this run made, and those that it found.
    """

    url: str
    manifest: dict[str, Any]
    made: int
    reused: int

    def figures(self) -> dict[str, float]:
        """Numbers under dotted names."""
        counts = {name: self.manifest[name] for name in ("frames", "seconds", "bytes", "captions")}
        numbers = {f"prepare.codes.{name}": value for name, value in counts.items()}
        return {**numbers, "prepare.codes.made": self.made, "prepare.codes.reused": self.reused}


def make_codes(job: MusicTrainingJob, dataset_url: str, pool: WorkerPool) -> Codes:
    """Encode a job's prepared data, as far as that is not done.

    Args:
        pool: started when there is work for it.

    Raises:
        JobError: there is no codec where the job says, or the data has no recordings.
    """
    model, cache = job.spec.model, open_storage(job.spec.dataset.cache)
    assert model is not None
    dataset = PreparedDataset.open(dataset_url, work_dir())
    samples = [sample for side in SIDES for sample in dataset.samples("audio", side)]
    if not samples:
        raise JobError(
            f"the data has no recordings, which are all that the family {model.family} reads",
            where="spec.dataset",
            instead="name a source of audio, and leave dataset.modalities out",
        )
    encoders = find_encoders(model, cache)
    audio = audio_chunks(samples, encoders.codec, encoders.info.channels)
    texts: list[TextChunk] = []
    if encoders.text_encoder is not None and "text" in (model.conditioning or ()):
        from mtj_trainer.families.musicgen.captions import caption

        texts = text_chunks(map(caption, dataset.tracks.values()), encoders.text_encoder)
    shards = [*(chunk.shard for chunk in audio), *(chunk.shard for chunk in texts)]
    name = set_name(dataset_url, shards)
    missing = set(shards) - complete_shards(cache)
    made = _encode_audio([c for c in audio if c.shard in missing], encoders, dataset_url, cache, pool)
    made |= _encode_texts([chunk for chunk in texts if chunk.shard in missing], job, cache, pool)
    manifest = None if missing else _read_manifest(cache, name)
    if manifest is None:
        stored = _read_records(cache, shards, made)
        contents = CodesContents(
            dataset=dataset_url,
            codec=encoders.codec_url(cache),
            info=encoders.info,
            codes=[array for chunk in audio for array in stored[chunk.shard]],
            texts=[array for chunk in texts for array in stored[chunk.shard]],
        )
        manifest = write_codes(cache, name, contents)
    return Codes(set_url(cache, name), manifest, len(missing), len(shards) - len(missing))


def _encode_audio(
    missing: Sequence[AudioChunk], encoders: Encoders, dataset_url: str, cache: Storage, pool: WorkerPool
) -> Made:
    """Encode chunks, the longest first so that no worker is left alone with one at the end."""
    if not missing:
        return {}
    from mtj_trainer.prepare.codes.encode import ChunkTask, encode_chunk

    audio_url = dataset_url.rpartition("/datasets/")[0]
    tasks = [
        ChunkTask(chunk, audio_url, cache.url, encoders.codec_url(cache), encoders.info.channels)
        for chunk in sorted(missing, key=lambda chunk: -chunk.seconds)
    ]
    samples: list[Sample] = [sample for chunk in missing for sample in chunk.samples]
    progress = Progress("prepare", len(samples))
    progress.say(
        f"encoding {len(samples)} segments, {clock_text(sum(sample.length for sample in samples))} of music, with "
        f"{encoders.name}, {encoders.info.frame_rate:g} frames/s, {pool.count} at a time"
    )
    made: Made = {}
    done = 0
    for outcome in pool.run_all(encode_chunk, tasks):
        made[outcome.item.chunk.shard] = outcome.result
        done += len(outcome.result)
        progress.update(done, "segments encoded")
    return made


def _encode_texts(missing: Sequence[TextChunk], job: MusicTrainingJob, cache: Storage, pool: WorkerPool) -> Made:
    if not missing:
        return {}
    from mtj_trainer.prepare.codes.texts import encode_texts

    assert job.spec.model is not None
    count = sum(len(chunk.captions) for chunk in missing)
    Progress("prepare", 1).say(f"reading {count} caption{'s' if count > 1 else ''} with the model's text encoder")
    return encode_texts(cache, missing, load_checkpoint(job.spec.model), pool.raise_if_stopped)


def _read_manifest(cache: Storage, name: str) -> dict[str, Any] | None:
    try:
        written: dict[str, Any] = json.loads(cache.read(f"codes/sets/{name}/manifest.json"))
    except FileNotFoundError:
        return None
    return written


def _read_records(cache: Storage, shards: Iterable[str], made: Made) -> Made:
    def read(shard: str) -> tuple[str, tuple[StoredArray, ...]]:
        return shard, made[shard] if shard in made else read_record(cache, shard)

    with ThreadPoolExecutor(READERS) as readers:
        return dict(readers.map(read, shards))
