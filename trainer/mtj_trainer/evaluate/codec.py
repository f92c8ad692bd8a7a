"""Evaluating a codec: how near it comes to held-out clips, beside what can be had without training one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mtj_api import JobError, MusicTrainingJob
from mtj_trainer.evaluate.audio.clips import Clip, Floats, choose_clips
from mtj_trainer.evaluate.audio.distances import distance_figures, embed_clips
from mtj_trainer.evaluate.audio.embedders import make_embedder
from mtj_trainer.evaluate.audio.griffin_lim import griffin_lim
from mtj_trainer.evaluate.audio.reconstruction import mean_measures, reconstruction_measures
from mtj_trainer.evaluate.audio.samples import AudioSample, Take, write_audio_samples
from mtj_trainer.families.codec.codec import Codec, codec_of, load_codec
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.progress import Progress
from mtj_trainer.slug import slug
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.train.precision import usual_device

SHOWN = 4
"""Clips that one can listen to in the report."""


@dataclass(frozen=True)
class Contestant:
    """A way to code and decode: the prefix of its figures, what people call it, whether it is worth hearing."""

    prefix: str
    label: str
    again: Callable[[Floats], Floats]
    is_heard: bool = True


def evaluate_codec(
    job: MusicTrainingJob, prepared: dict[str, Any], weights: Storage, output: Storage
) -> dict[str, float]:
    """See ``mtj_trainer.evaluate.stage.Evaluate``.

    Raises:
        JobError: there is no held-out recording.
    """
    settings, model = job.spec.evaluation, job.spec.model
    assert model is not None
    codec = load_codec(weights).to(usual_device())
    dataset = PreparedDataset.open(prepared["dataset"], work_dir())
    clips = choose_clips(dataset, "test", settings.samples, settings.seconds, codec.sample_rate, settings.seed)
    if not clips:
        raise JobError(
            "the test split holds no recording",
            where="spec.dataset.split.test",
            instead="raise it, or add music: the codec is judged by what it has not heard",
        )
    contestants = [Contestant("", "Through the codec", lambda clip: through(codec, clip))]
    if model.pretrained is not None:
        before = load_codec(open_storage(model.pretrained)).to(usual_device())
        contestants.append(Contestant("baseline.pretrained.", "Before training", lambda clip: through(before, clip)))
    untrained = untrained_codec(codec, settings.seed + 1)
    contestants += [
        Contestant("baseline.griffin_lim.", "Griffin-Lim", lambda clip: griffin_lim(clip, codec.sample_rate)),
        Contestant("baseline.untrained.", "Untrained", lambda clip: through(untrained, clip), False),
    ]
    progress = Progress("evaluate", len(contestants) * len(clips))
    heard: dict[str, list[Floats]] = {}
    for number, contestant in enumerate(contestants):
        heard[contestant.prefix] = []
        for done, clip in enumerate(clips, start=1):
            heard[contestant.prefix].append(contestant.again(clip.audio))
            progress.update(number * len(clips) + done, f"{contestant.label}: clips heard again")
    measured = {
        contestant.prefix: [
            reconstruction_measures(clip.audio, again, codec.sample_rate)
            for clip, again in zip(clips, heard[contestant.prefix], strict=True)
        ]
        for contestant in contestants
    }
    figures = {
        "heldout.clips": len(clips),
        "heldout.seconds": sum(len(clip.audio) for clip in clips) / codec.sample_rate,
        "model.parameters": sum(p.numel() for p in module_of(codec).parameters()),
        **code_figures(codec, clips),
        **_distances(settings.embedders, clips, heard, codec.sample_rate),
    }
    for prefix, each in measured.items():
        figures |= {f"{prefix or 'reconstruction.'}{name}": value for name, value in mean_measures(each).items()}
    samples = []
    for index, clip in enumerate(clips[:SHOWN]):
        takes = [Take("original", "Original", clip.audio)]
        takes += [
            Take(slug(c.label), c.label, heard[c.prefix][index], measured[c.prefix][index])
            for c in contestants
            if c.is_heard
        ]
        name = f"reconstruction-{index + 1}-{slug(clip.title)}"
        judged = slug(contestants[0].label)
        samples.append(AudioSample(name, "reconstruction", clip.title, takes, judged, track=clip.track.id))
    return figures | write_audio_samples(output, samples, codec.sample_rate)


@torch.no_grad()
def through(codec: Codec, clip: Floats) -> Floats:
    """(n,) samples coded and decoded, cut to their length."""
    again = codec.decode(codec.encode(torch.from_numpy(clip)[None, None].expand(1, codec.channels, -1)))
    return np.asarray(again[0].mean(dim=0)[: len(clip)].cpu().numpy(), dtype=np.float32)


def untrained_codec(codec: Codec, seed: int) -> Codec:
    """The same architecture with fresh weights; the global random state is left as it was."""
    module = module_of(codec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(module)(module.config)
    return codec_of(fresh).to(usual_device())


def module_of(codec: Codec) -> Any:
    """The module that computes a codec."""
    return codec.module  # type: ignore[attr-defined]


def code_figures(codec: Codec, clips: Sequence[Clip]) -> dict[str, float]:
    """How a codec codes clips.

    Returns:
        ``codec.codebook_use``: share of all codebooks' entries that occur. ``codec.perplexity``: how many entries of a
        codebook are used as if evenly, on average. ``codec.bits_per_second``. ``codec.realtime_factor``: seconds of
        sound coded and decoded in a second.
    """
    began = time.perf_counter()
    codes = [codec.encode(torch.from_numpy(clip.audio)[None, None].expand(1, codec.channels, -1)) for clip in clips]
    for each in codes:
        codec.decode(each)
    spent = time.perf_counter() - began
    seconds = sum(len(clip.audio) for clip in clips) / codec.sample_rate
    together = torch.cat([each[0] for each in codes], dim=1)
    counts = torch.stack([torch.bincount(book, minlength=codec.codebook_size) for book in together.cpu()])
    share = counts / counts.sum(dim=1, keepdim=True)
    entropy = -torch.special.xlogy(share, share).sum(dim=1)
    return {
        "codec.codebook_use": float((counts > 0).float().mean()),
        "codec.perplexity": float(entropy.exp().mean()),
        "codec.bits_per_second": codec.codebooks * np.log2(codec.codebook_size) * codec.sample_rate / codec.hop,
        "codec.realtime_factor": seconds / max(spent, 1e-9),
    }


def _distances(
    embedders: Sequence[str], clips: Sequence[Clip], heard: dict[str, list[Floats]], rate: int
) -> dict[str, float]:
    """How far each contestant's clips are, as a set, from what they were made of."""
    figures: dict[str, float] = {}
    for each in embedders:
        embedder = make_embedder(each)
        reference = embed_clips(embedder, [clip.audio for clip in clips], rate)
        for prefix, sounds in heard.items():
            found = distance_figures(embedder, embed_clips(embedder, sounds, rate), reference, paired=True)
            figures |= {f"{prefix}{name}": value for name, value in found.items()}
    return figures
