"""Evaluating a model that plays texts: what it plays for the texts of held-out music, beside that music.

Invariant: the model and its baseline get the same texts and seeds, and all are measured against the same clips. The
ceiling is those clips through the model's codec: nearer to them no model of its codes can come.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from mtj_api import JobError, MusicTrainingJob
from mtj_api.spec import Evaluation
from mtj_trainer.evaluate.audio.adherence import clap_score, own_reference_nearest, text_effect
from mtj_trainer.evaluate.audio.clips import Clip, Floats, choose_clips
from mtj_trainer.evaluate.audio.copies import Likeness, copy_figures, find_copies, fingerprint
from mtj_trainer.evaluate.audio.distances import distance_figures, embed_clips
from mtj_trainer.evaluate.audio.divergence import chroma_divergence, spectral_divergence
from mtj_trainer.evaluate.audio.embedders import Embedder, TextEmbedder, make_embedder
from mtj_trainer.evaluate.audio.hearing import Hearing, hear, hearing_figures
from mtj_trainer.evaluate.audio.samples import AudioSample, Take, write_audio_samples
from mtj_trainer.evaluate.codec import through
from mtj_trainer.families.musicgen.captions import caption
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.crops import Crops
from mtj_trainer.families.musicgen.generate import Request, codec_of_model, generate_audio
from mtj_trainer.families.musicgen.published import find_published, load_published
from mtj_trainer.families.musicgen.sampling import Sampling
from mtj_trainer.prepare.codes.dataset import CodesDataset
from mtj_trainer.progress import Progress
from mtj_trainer.slug import slug
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import Storage
from mtj_trainer.train.precision import usual_device

AT_ONCE = 8
"""Pieces that are written side by side."""

REPEATED = 4
"""Texts that are played twice, to tell what a text changes from what chance does."""

SHOWN = 4
"""Held-out texts that one can listen to in the report, beside the job's own prompts."""

MOST_TRAINING_CLIPS = 2000
"""Of the training music, that samples are compared with."""

TRAINING_SECONDS = 30.0

MODEL = "model"
"""What the model's own take is called in the names of files."""


@dataclass(frozen=True)
class Played:
    """What a model played: a clip for each held-out text, then the repeated ones, then those of the prompts."""

    study: list[Floats]
    repeats: list[Floats]
    prompted: list[Floats]
    seconds_of_sound_a_second: float


def evaluate_musicgen(
    job: MusicTrainingJob, prepared: dict[str, Any], weights: Storage, output: Storage
) -> dict[str, float]:
    """See ``mtj_trainer.evaluate.stage.Evaluate``.

    Raises:
        JobError: there is no held-out recording, or an embedder's weights are not at hand.
    """
    settings = job.spec.evaluation
    embedders = [make_embedder(name) for name in settings.embedders]
    codes = CodesDataset.open(prepared["codes"], work_dir())
    rate = codes.info.sample_rate
    clips = choose_clips(codes.dataset, "test", settings.samples, settings.seconds, rate, settings.seed)
    if not clips:
        raise JobError(
            "the test split holds no recording",
            where="spec.dataset.split.test",
            instead="raise it, or add music: the model is judged by music that it has not heard",
        )
    contestants = _contestants(job, weights)
    rounds = len(contestants) * (len(clips) + min(REPEATED, len(clips)) + len(settings.prompts))
    progress = Progress("evaluate", rounds)
    played: dict[str, Played] = {}
    ceiling: list[Floats] = []
    figures: dict[str, float] = {"heldout.clips": len(clips)}
    for prefix, load in contestants.items():  # one at a time: each may take most of the memory
        model = load()
        played[prefix] = _play(model, clips, settings, progress, prefix)
        figures[f"{prefix or 'heldout.'}nll"] = heldout_nll(job, codes, model)
        if not prefix:
            ceiling = [through(codec_of_model(model), clip.audio) for clip in clips]
            figures["model.parameters"] = sum(p.numel() for p in model.complete.parameters())
            figures["generate.realtime_factor"] = played[prefix].seconds_of_sound_a_second
        del model
    for embedder in embedders:
        figures |= _distances(embedder, clips, played, ceiling, codes, settings, rate)
    figures |= _agreement(clips, played, rate)
    likenesses, heldout = _likenesses(clips, played[""].study, codes, settings, rate)
    figures |= copy_figures(likenesses, heldout)
    samples = [*_prompted(played, settings), *_studied(clips, played, ceiling, likenesses, rate)]
    return figures | write_audio_samples(output, samples, rate)


@torch.no_grad()
def heldout_nll(job: MusicTrainingJob, codes: CodesDataset, model: MusicGen) -> float:
    """Nats a code of the test split, each predicted with its text and what comes before it."""
    assert job.spec.model is not None
    crops = Crops(model, codes, job.spec.model.conditioning)
    step = model.step().to(usual_device()).eval()
    nats, counted = 0.0, 0
    for batch in crops.side("test"):
        nats += float(step(batch.to(usual_device())).sum())
        counted += batch.counted
    return nats / max(1, counted)


def _contestants(job: MusicTrainingJob, weights: Storage) -> dict[str, Callable[[], MusicGen]]:
    """The model, and what it was before this job trained it: what it started from, or fresh weights."""
    assert job.spec.model is not None
    own = partial(load_published, find_published(weights.url))
    if job.spec.model.pretrained is not None:
        return {"": own, "baseline.pretrained.": partial(load_published, job.spec.model.pretrained)}
    return {"": own, "baseline.untrained.": partial(_untrained, own, job.spec.evaluation.seed + 1)}


def _untrained(load: Callable[[], MusicGen], seed: int) -> MusicGen:
    """The same architecture with fresh weights, on the same codec; the global random state is left as it was."""
    model = load()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(model.complete)(model.complete.config)
    fresh.audio_encoder.load_state_dict(model.complete.audio_encoder.state_dict())
    fresh.generation_config = model.complete.generation_config
    return replace(model, complete=fresh.eval())


def _play(model: MusicGen, clips: Sequence[Clip], settings: Evaluation, progress: Progress, prefix: str) -> Played:
    chosen = settings.sampling
    sampling = Sampling(chosen.temperature, chosen.top_k, chosen.top_p, chosen.guidance)
    texts = [caption(clip.track) for clip in clips]
    requests = [Request(text, settings.seed + index) for index, text in enumerate(texts)]
    requests += [Request(text, settings.seed + len(texts) + index) for index, text in enumerate(texts[:REPEATED])]
    requests += [Request(text, settings.seed + index) for index, text in enumerate(settings.prompts)]
    model.complete.to(usual_device())
    rate = codec_of_model(model).sample_rate
    began = time.perf_counter()
    sounds: list[Floats] = []
    before = 0 if not prefix else len(requests)
    for start in range(0, len(requests), AT_ONCE):
        for sound in generate_audio(model, requests[start : start + AT_ONCE], settings.seconds, sampling):
            mono = sound.mean(dim=0)[: round(settings.seconds * rate)]
            sounds.append(np.asarray(mono.float().numpy(), dtype=np.float32))
        progress.update(before + len(sounds), "texts played")
    spent = time.perf_counter() - began
    last = len(texts) + min(REPEATED, len(texts))
    speed = len(requests) * settings.seconds / max(spent, 1e-9)
    return Played(sounds[: len(texts)], sounds[len(texts) : last], sounds[last:], speed)


def _distances(
    embedder: Embedder,
    clips: Sequence[Clip],
    played: dict[str, Played],
    ceiling: Sequence[Floats],
    codes: CodesDataset,
    settings: Evaluation,
    rate: int,
) -> dict[str, float]:
    """How far all that was played is from held-out music, and what the texts do to it."""
    reference = embed_clips(embedder, [clip.audio for clip in clips], rate)
    figures: dict[str, float] = {}
    for prefix, sounds in played.items():
        study = embed_clips(embedder, sounds.study, rate)
        found = distance_figures(embedder, study, reference)
        texts = [caption(clip.track) for clip in clips]
        repeats = embed_clips(embedder, sounds.repeats, rate)
        found |= text_effect([*study, *repeats], [*texts, *texts[: len(repeats)]])
        if len(study) > 1:
            found["text.nearest"] = own_reference_nearest(study, reference)
        if isinstance(embedder, TextEmbedder):
            found |= clap_score(study, embedder.embed_texts(texts))
        figures |= {f"{prefix}{name}": value for name, value in found.items()}
    through_codec = distance_figures(embedder, embed_clips(embedder, ceiling, rate), reference, paired=True)
    figures |= {f"ceiling.{name}": value for name, value in through_codec.items()}
    music = choose_clips(codes.dataset, "train", len(clips), settings.seconds, rate, settings.seed)
    real = distance_figures(embedder, embed_clips(embedder, [clip.audio for clip in music], rate), reference)
    return figures | {f"floor.{name}": value for name, value in real.items()}


def _agreement(clips: Sequence[Clip], played: dict[str, Played], rate: int) -> dict[str, float]:
    """Whether tempo, key and spectrum are what the text, and the music that it is of, have."""
    asked = [Hearing(clip.track.tempo, clip.track.key) for clip in clips]
    figures: dict[str, float] = {}
    for prefix, sounds in played.items():
        found = hearing_figures(asked, [hear(sound, rate) for sound in sounds.study])
        real = [clip.audio for clip in clips]
        found["divergence.spectrum"] = spectral_divergence(sounds.study, real, rate)
        found["divergence.chroma"] = chroma_divergence(sounds.study, real, rate)
        figures |= {f"{prefix}{name}": value for name, value in found.items()}
    music = hearing_figures(asked, [hear(clip.audio, rate) for clip in clips])
    return figures | {f"floor.{name}": value for name, value in music.items()}


def _likenesses(
    clips: Sequence[Clip], sounds: Sequence[Floats], codes: CodesDataset, settings: Evaluation, rate: int
) -> tuple[list[Likeness], list[Likeness]]:
    """How like training music the samples are, and the held-out clips, which are none of it."""
    training = choose_clips(codes.dataset, "train", MOST_TRAINING_CLIPS, TRAINING_SECONDS, rate, settings.seed)
    known = [fingerprint(clip.audio, rate) for clip in training]
    samples = find_copies([fingerprint(sound, rate) for sound in sounds], known)
    return samples, find_copies([fingerprint(clip.audio, rate) for clip in clips], known)


def _prompted(played: dict[str, Played], settings: Evaluation) -> Iterator[AudioSample]:
    """What was played for the job's own prompts."""
    for index, text in enumerate(settings.prompts):
        takes = [Take(name, label, played[prefix].prompted[index]) for prefix, name, label in _players(played)]
        yield AudioSample(f"prompt-{index + 1}-{slug(text)}", "generated", text, takes, MODEL, text=text)


def _studied(
    clips: Sequence[Clip],
    played: dict[str, Played],
    ceiling: Sequence[Floats],
    likenesses: Sequence[Likeness],
    rate: int,
) -> Iterator[AudioSample]:
    """What was played for the texts of some held-out clips, beside these."""
    for index, clip in enumerate(clips[:SHOWN]):
        takes = [Take(name, label, played[prefix].study[index]) for prefix, name, label in _players(played)]
        takes.append(Take("ceiling", "The music through the codec", ceiling[index]))
        yield AudioSample(
            f"study-{index + 1}-{slug(clip.title)}",
            "generated",
            clip.title,
            takes,
            MODEL,
            track=clip.track.id,
            text=caption(clip.track),
            asked=Hearing(clip.track.tempo, clip.track.key),
            found=hear(played[""].study[index], rate),
            likeness=likenesses[index],
        )


def _players(played: dict[str, Played]) -> list[tuple[str, str, str]]:
    """Prefix, name and label of the model and of what it is compared with."""
    return [(prefix, "before", "Before training") if prefix else (prefix, MODEL, "The model") for prefix in played]
