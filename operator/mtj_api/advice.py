"""What a good colleague would say of a job that is valid: what will disappoint, and what to do about it.

Invariant: pure. Each advisor looks at one thing and gives a sentence or none; none of them stops a job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mtj_api.cluster_advice import advise_on_cluster
from mtj_api.defaults import STRATEGIES
from mtj_api.estimate import Started, shortage
from mtj_api.resolve import GIVEN, Resolution
from mtj_api.spec.model import AUDIO_FAMILIES
from mtj_api.spec.training import ADAPTATIONS

FEW_TRACKS = 5
"""A side of the split with fewer tracks gives figures that are mostly chance."""


@dataclass(frozen=True)
class Survey:
    """What a look at the source found, before anything is prepared.

    Attributes:
        files: music files.
        audio_hours: of recordings.
        midi_hours: of MIDI.
        estimated: whether the hours were taken from a sample of the files.
    """

    files: int
    audio_hours: float
    midi_hours: float
    estimated: bool


@dataclass(frozen=True)
class Machine:
    """Where the job is to run.

    Attributes:
        cores: processor cores.
        memory: bytes of main memory; ``None`` if unknown.
        gpus: how many there are.
        fast_bf16: whether the processor itself multiplies bf16; ``None`` if unknown.
    """

    cores: int
    memory: int | None
    gpus: int
    fast_bf16: bool | None


Advisor = Callable[[Resolution, Survey | None, Machine | None], Iterator[str]]


def advise(
    resolution: Resolution,
    survey: Survey | None = None,
    machine: Machine | None = None,
    started: Started | None = None,
) -> list[str]:
    """Everything there is to say, a sentence each.

    Args:
        resolution: the job.
        survey: what the source has; what depends on it is left unsaid without.
        machine: where the job is to run; likewise.
        started: sizes of the model that training starts from; likewise.
    """
    sentences = [sentence for advisor in ADVISORS for sentence in advisor(resolution, survey, machine)]
    return [*sentences, *_memory(resolution, machine, started), *advise_on_cluster(resolution, started)]


def _amount_of_music(resolution: Resolution, survey: Survey | None, _machine: Machine | None) -> Iterator[str]:
    spec = resolution.job.spec
    if survey is None or spec.dataset.prepared is not None:
        return
    if survey.files == 0:
        yield "dataset.source holds no music: audio is wav, flac, ogg or mp3, and MIDI is mid or midi"
    elif spec.model is not None and spec.training is not None:
        reads_audio = spec.model.family in AUDIO_FAMILIES
        hours, kind = (survey.audio_hours, "audio") if reads_audio else (survey.midi_hours, "MIDI")
        if hours == 0:
            yield f"dataset.source holds no {kind}, which is all that the family {spec.model.family} reads"
            return
        needed = STRATEGIES[spec.training.strategy].hours
        if hours < needed:
            about = "about " if survey.estimated else ""
            way = (
                "fine-tune a model that was trained on more (model.pretrained), or expect it to learn this music by "
                "heart and watch the validation loss"
                if spec.training.strategy == "full"
                else "expect it to overfit: use fewer steps"
            )
            yield (
                f"there are {about}{_hours(hours)} of music, and strategy {spec.training.strategy} needs "
                f"{_hours(needed)} or more (guide); {way}"
            )


def _small_sides(resolution: Resolution, survey: Survey | None, _machine: Machine | None) -> Iterator[str]:
    if survey is None or survey.files == 0:
        return
    split = resolution.job.spec.dataset.split
    for side, part, use in (("validation", split.validation, "chosen"), ("test", split.test, "judged")):
        tracks = part * survey.files
        if tracks < FEW_TRACKS:
            yield (
                f"dataset.split.{side} leaves about {tracks:.0f} of {survey.files} tracks by which the model is {use}: "
                f"the figure will be mostly chance; add music, or raise it"
            )


def _processors(resolution: Resolution, _survey: Survey | None, machine: Machine | None) -> Iterator[str]:
    training = resolution.job.spec.training
    if machine is None:
        return
    workers = resolution.job.spec.dataset.workers
    if workers.nodes == 1 and workers.count > machine.cores:
        yield (
            f"dataset.workers.count is {workers.count} and this machine has {_count(machine.cores, 'core')}; "
            f"more workers than cores only cost memory"
        )
    if training is None:
        return
    processes = training.processes_per_node
    if machine.gpus and processes > machine.gpus:
        yield (
            f"training.processesPerNode is {processes} and this machine has {_count(machine.gpus, 'GPU')}; "
            f"write at most {machine.gpus}"
        )
    if not machine.gpus and processes > machine.cores:
        yield (
            f"training.processesPerNode is {processes} and this machine has {_count(machine.cores, 'core')}; "
            f"write at most {machine.cores}, as processes that share a core slow each other down"
        )


def _one_machine(resolution: Resolution, _survey: Survey | None, machine: Machine | None) -> Iterator[str]:
    training = resolution.job.spec.training
    if machine is not None and training is not None and training.nodes > 1:
        yield (
            f"training.nodes is {training.nodes}, which is for a cluster: mtj run trains on this machine alone, with "
            f"{_count(training.processes_per_node, 'process', 'processes')} and the same batch"
        )


def _precision(resolution: Resolution, _survey: Survey | None, machine: Machine | None) -> Iterator[str]:
    training = resolution.job.spec.training
    if training is None or machine is None or machine.gpus:
        return
    if training.precision == "fp16":
        yield "training.precision fp16 needs a GPU, and this machine has none; write auto"
    if training.precision == "bf16" and machine.fast_bf16 is False:
        yield "this processor has no bf16 arithmetic, so bf16 may be slower here; write training.precision: auto"


def _memory(resolution: Resolution, machine: Machine | None, started: Started | None) -> Iterator[str]:
    if machine is None or machine.memory is None or machine.gpus:
        return
    lacking = shortage(resolution.job.spec, machine.memory, started)
    if lacking is not None:
        refused = "mtj run refuses it" if lacking.certain else "it may not fit"
        yield f"{lacking.what}, so that {refused}; {lacking.instead}"


def _intervals(resolution: Resolution, _survey: Survey | None, _machine: Machine | None) -> Iterator[str]:
    spec = resolution.job.spec
    if spec.training is None:
        return
    if spec.checkpoint.every_steps > spec.training.steps:
        yield (
            f"checkpoint.everySteps is {spec.checkpoint.every_steps} and training has {spec.training.steps} steps: a "
            f"lost process loses all of it; write {max(1, spec.training.steps // 10)}"
        )
    if spec.evaluation.every_steps > spec.training.steps:
        yield (
            f"evaluation.everySteps is {spec.evaluation.every_steps} and training has {spec.training.steps} steps: "
            f"only the last weights are validated, so none are better; write {max(1, spec.training.steps // 10)}"
        )
    if spec.training.schedule.warmup_steps > spec.training.steps // 2:
        yield "training.schedule.warmupSteps is more than half of training.steps; a twentieth is usual"


def _learning_rate(resolution: Resolution, _survey: Survey | None, _machine: Machine | None) -> Iterator[str]:
    training = resolution.job.spec.training
    if training is None:
        return
    row = STRATEGIES[training.strategy]
    low, high = row.rate_bounds
    rate = training.optimizer.learning_rate
    if not low <= rate <= high:
        yield (
            f"training.optimizer.learningRate {rate:g} is {'below' if rate < low else 'above'} what strategy "
            f"{training.strategy} usually takes (guide: {row.rate_range})"
        )


def _without_effect(resolution: Resolution, _survey: Survey | None, _machine: Machine | None) -> Iterator[str]:
    """Settings that the user wrote and that nothing will look at."""
    spec = resolution.job.spec
    given = [value.path for value in resolution.values if value.reason == GIVEN]
    grid = spec.dataset.midi.tokenizer == "grid"
    family = spec.model.family if spec.model is not None else ""
    strategy = spec.training.strategy if spec.training is not None else ""
    borrowed = spec.dataset.from_job is not None or spec.dataset.prepared is not None
    cases = [
        (
            borrowed,
            ("spec.dataset.audio.", "spec.dataset.midi.", "spec.dataset.split.", "spec.dataset.modalities"),
            "the data is as another job prepared it",
        ),
        (
            bool(family) and family != "codec",
            ("spec.training.losses.", "spec.training.cropSeconds"),
            f"the family {family} is no codec",
        ),
        (
            family in AUDIO_FAMILIES,
            ("spec.dataset.augmentation.", "spec.evaluation.requests", "spec.evaluation.continuations"),
            f"the family {family} composes no MIDI",
        ),
        (
            family in ("symbolic", "codec"),
            ("spec.evaluation.prompts", "spec.evaluation.sampling.topK", "spec.evaluation.sampling.guidance"),
            f"the family {family} follows no text",
        ),
        (
            bool(strategy) and strategy not in ADAPTATIONS,
            ("spec.training.peft.",),
            f"training.strategy is {strategy}",
        ),
        (
            bool(strategy) and strategy != "selective",
            ("spec.training.selective.",),
            f"training.strategy is {strategy}",
        ),
        (
            spec.model is None,
            ("spec.checkpoint.", "spec.evaluation.", "spec.dataset.augmentation."),
            "there is no model",
        ),
        ("audio" not in spec.dataset.modalities, ("spec.dataset.audio.",), "dataset.modalities has no audio"),
        ("midi" not in spec.dataset.modalities, ("spec.dataset.midi.",), "dataset.modalities has no midi"),
        (grid, ("spec.dataset.midi.velocityBins",), "the grid has no velocities"),
        (not grid, ("spec.dataset.midi.voices",), "only the grid has voices"),
        (
            spec.training is not None and spec.training.engine != "deepspeed",
            ("spec.training.deepspeed.",),
            f"training.engine is {spec.training.engine if spec.training else ''}",
        ),
        (
            spec.model is None,
            ("spec.scheduling.resources.train.", "spec.scheduling.retries.train"),
            "there is no model to train",
        ),
    ]
    for holds, prefixes, why in cases:
        for path in given:
            if holds and path.startswith(prefixes):
                yield f"{path.removeprefix('spec.')} has no effect: {why}"


ADVISORS: tuple[Advisor, ...] = (
    _amount_of_music,
    _small_sides,
    _processors,
    _one_machine,
    _precision,
    _intervals,
    _learning_rate,
    _without_effect,
)


def _hours(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    return "1 hour" if hours == 1 else f"{hours:.3g} hours"


def _count(number: int, noun: str, several: str = "") -> str:
    return f"{number} {noun if number == 1 else several or f'{noun}s'}"
