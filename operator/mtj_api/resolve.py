"""From what the user wrote to what will be done: every derived field gets its value and the reason for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mtj_api import walk
from mtj_api.defaults import CHECKPOINT_STEPS, GUIDE_DEFAULTS, SIZES, STRATEGIES, SizeRow, size_class
from mtj_api.sizes import model_parameters
from mtj_api.spec import Architecture, CodecArchitecture, CompositionRequest, MusicTrainingJob, Training
from mtj_api.spec.model import AUDIO_FAMILIES, MUSICGEN_FAMILIES
from mtj_api.spec.training import ADAPTATIONS

GIVEN = "set in the job"
"""The reason for a value that the user wrote."""

Derivation = Callable[[MusicTrainingJob], tuple[Any, str]]


@dataclass(frozen=True)
class ResolvedValue:
    """One value of a resolved job: its camelCase path, and why it is what it is."""

    path: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Resolution:
    """A job in which nothing is left open.

    Attributes:
        job: every derived field is filled; ``model`` and ``training`` are both there or both absent.
        values: each leaf with its reason, in the order of the resource.
    """

    job: MusicTrainingJob
    values: tuple[ResolvedValue, ...]


def resolve(job: MusicTrainingJob) -> Resolution:
    """Fill every derived field. Pure: the same job always resolves to the same values."""
    given = set(_given_paths(job, ()))
    resolved, reasons = _filled(job)
    values = []
    for dotted, camel, value in _leaves(resolved):
        values.append(ResolvedValue(camel, value, _reason(dotted, given, reasons)))
    return Resolution(resolved, tuple(values))


def resolved_job(job: MusicTrainingJob) -> MusicTrainingJob:
    """The job of ``resolve`` alone, for who has thousands to look after: telling the reasons takes longer than it."""
    return _filled(job)[0]


def _filled(job: MusicTrainingJob) -> tuple[MusicTrainingJob, dict[str, str]]:
    """A copy with every derived field, and the reasons for these by their attribute path."""
    resolved = job.model_copy(deep=True)
    reasons: dict[str, str] = {}
    if resolved.spec.model is not None and resolved.spec.training is None:
        resolved.spec.training = Training()
    for path, derive in _DERIVATIONS.items():
        owner = _at(resolved, path[:-1])
        if owner is None or getattr(owner, path[-1]) is not None:
            continue
        value, reason = derive(resolved)
        setattr(owner, path[-1], value)
        reasons[".".join(path)] = reason
    return resolved, reasons


def _reason(dotted: str, given: set[str], reasons: dict[str, str]) -> str:
    if dotted in given:
        return GIVEN
    whole, _, _ = dotted.rpartition(".")
    return reasons.get(dotted) or reasons.get(whole) or GUIDE_DEFAULTS.get(dotted) or "default"


def _training(job: MusicTrainingJob) -> Training:
    assert job.spec.training is not None
    return job.spec.training


def _modalities(job: MusicTrainingJob) -> tuple[Any, str]:
    if job.spec.model is None:
        return ["audio", "midi"], "without a model, all that is found is prepared"
    family = job.spec.model.family
    return ["audio" if family in AUDIO_FAMILIES else "midi"], f"what the family {family} reads"


def _sample_rate(job: MusicTrainingJob) -> tuple[Any, str]:
    rates = {"codec": (16_000, "what a small codec reproduces"), "audiogen": (16_000, "AudioGen's own")}
    rates["musicgen"] = (32_000, "MusicGen's own")
    return rates.get(_family(job), (44_100, "guide: 44.1 or 48 kHz"))


def _channels(job: MusicTrainingJob) -> tuple[Any, str]:
    if _family(job) in AUDIO_FAMILIES:
        return 1, f"what the family {_family(job)} reads"
    return 2, "recordings are stereo"


def _transposition(job: MusicTrainingJob) -> tuple[Any, str]:
    if _family(job) in AUDIO_FAMILIES:
        return 0, "recordings are not transposed"
    return 6, "reaches all twelve keys and stays near the voices' ranges (guide: up to an octave)"


def _family(job: MusicTrainingJob) -> str:
    return job.spec.model.family if job.spec.model is not None else ""


def _steps_per_beat(job: MusicTrainingJob) -> tuple[Any, str]:
    if job.spec.dataset.midi.tokenizer == "grid":
        return 4, "a grid of sixteenth notes"
    return 8, "thirty-second notes, which also holds most ornaments"


def _architecture(job: MusicTrainingJob) -> tuple[Any, str]:
    assert job.spec.model is not None
    if job.spec.model.family == "codec":
        return None, "a codec is no transformer"
    if job.spec.model.is_started:
        return None, "brought by the pretrained model"
    return Architecture(), "a model that trains in minutes on a laptop"


def _codec_architecture(job: MusicTrainingJob) -> tuple[Any, str]:
    assert job.spec.model is not None
    if job.spec.model.family != "codec":
        return None, f"the family {job.spec.model.family} is no codec"
    if job.spec.model.is_started:
        return None, "brought by the pretrained model"
    return CodecArchitecture(), "a codec that trains in half an hour on a laptop"


def _conditioning(job: MusicTrainingJob) -> tuple[Any, str]:
    family = _family(job)
    if family in MUSICGEN_FAMILIES:
        return ["text"], f"what the family {family} always listens to"
    if family == "codec":
        return [], "a codec is given nothing but sound"
    return ["key", "metre", "tempo", "instruments"], "all that is known of a piece"


def _size(job: MusicTrainingJob) -> tuple[Any, str]:
    assert job.spec.model is not None
    parameters = model_parameters(job.spec.model)
    if parameters is None:
        return "small", "assumed of a pretrained model; say model.size where it has 500M parameters or more"
    return size_class(parameters), f"about {parameters:,} parameters"


def _strategy(job: MusicTrainingJob) -> tuple[Any, str]:
    assert job.spec.model is not None
    if job.spec.model.is_started:
        return "finetune", f"model.{'from' if job.spec.model.pretrained is None else 'pretrained'} is given"
    return "full", "there is no model.pretrained or model.from to start from"


def _size_row(job: MusicTrainingJob) -> tuple[str, SizeRow]:
    assert job.spec.model is not None
    return job.spec.model.size, SIZES[job.spec.model.size]


def _learning_rate(job: MusicTrainingJob) -> tuple[Any, str]:
    size, row = _size_row(job)
    if _training(job).strategy == "full":
        return row.full_rate, f"full training of a {size} model (guide: 5e-4 to 1e-3)"
    if _training(job).strategy in ADAPTATIONS:
        return row.adaptation_rate, f"adaptation of a {size} model (guide: 1e-4 to 5e-4)"
    return row.finetune_rate, f"fine-tuning of a {size} model (guide: size table)"


def _weight_decay(job: MusicTrainingJob) -> tuple[Any, str]:
    strategy = _training(job).strategy
    row = STRATEGIES[strategy]
    return row.weight_decay, f"strategy {strategy} (guide: {row.weight_decay_bounds})"


def _decay(job: MusicTrainingJob) -> tuple[Any, str]:
    strategy = _training(job).strategy
    return STRATEGIES[strategy].decay, f"strategy {strategy} (guide)"


def _warmup(job: MusicTrainingJob) -> tuple[Any, str]:
    return min(1000, _training(job).steps // 20), "a twentieth of the steps, at most 1000"


def _min_nodes(job: MusicTrainingJob) -> tuple[Any, str]:
    return _training(job).nodes, "as many as nodes: all of them train, or none"


def _batch_size(job: MusicTrainingJob) -> tuple[Any, str]:
    size, row = _size_row(job)
    training = _training(job)
    passes = training.batch.accumulation * training.nodes * training.processes_per_node
    batch = -(-row.batch // passes) * passes
    rounded = f", up to a multiple of {passes}" if batch != row.batch else ""
    return batch, f"a {size} model (guide: size table){rounded}"


def _dropout(job: MusicTrainingJob) -> tuple[Any, str]:
    if _family(job) == "codec":
        return 0.0, "a codec has none"
    size, row = _size_row(job)
    return row.dropout, f"a {size} model (guide: 0.1 to 0.3)"


def _rank(job: MusicTrainingJob) -> tuple[Any, str]:
    size, row = _size_row(job)
    return row.lora_rank, f"a {size} model (guide: size table)"


def _alpha(job: MusicTrainingJob) -> tuple[Any, str]:
    return 2.0 * _training(job).peft.rank, "twice the rank (guide)"


def _interval(job: MusicTrainingJob) -> tuple[Any, str]:
    if job.spec.training is None:
        return CHECKPOINT_STEPS, "guide: every 1000 to 5000 steps"
    steps = max(1, min(CHECKPOINT_STEPS, job.spec.training.steps // 10))
    return steps, "guide: every 1000 to 5000 steps, or a tenth of a shorter run"


def _requests(job: MusicTrainingJob) -> tuple[Any, str]:
    if job.spec.model is not None and job.spec.model.family != "symbolic":
        return [], "requests are for the family symbolic"
    conditioning = job.spec.model.conditioning if job.spec.model else []
    asks = []
    for key, metre, tempo in (("Gmaj", "4/4", 96.0), ("Amin", "4/4", 80.0)):
        asks.append(
            CompositionRequest(
                key=key if "key" in conditioning else None,
                metre=metre if "metre" in conditioning else None,
                tempo=tempo if "tempo" in conditioning else None,
            )
        )
    return asks, "one in major and one in minor"


_DERIVATIONS: dict[tuple[str, ...], Derivation] = {
    ("spec", "dataset", "cache"): lambda job: (
        f"{job.spec.output.rstrip('/')}/data",
        "beside the output; name a common place to share prepared data",
    ),
    ("spec", "dataset", "modalities"): _modalities,
    ("spec", "dataset", "audio", "sample_rate"): _sample_rate,
    ("spec", "dataset", "audio", "channels"): _channels,
    ("spec", "dataset", "midi", "steps_per_beat"): _steps_per_beat,
    ("spec", "dataset", "augmentation", "transpose_semitones"): _transposition,
    ("spec", "model", "architecture"): _architecture,
    ("spec", "model", "codec_architecture"): _codec_architecture,
    ("spec", "model", "conditioning"): _conditioning,
    ("spec", "model", "size"): _size,
    ("spec", "training", "strategy"): _strategy,
    ("spec", "training", "min_nodes"): _min_nodes,
    ("spec", "training", "peft", "rank"): _rank,
    ("spec", "training", "peft", "alpha"): _alpha,
    ("spec", "training", "optimizer", "learning_rate"): _learning_rate,
    ("spec", "training", "optimizer", "weight_decay"): _weight_decay,
    ("spec", "training", "schedule", "warmup_steps"): _warmup,
    ("spec", "training", "schedule", "decay"): _decay,
    ("spec", "training", "batch", "size"): _batch_size,
    ("spec", "training", "regularization", "dropout"): _dropout,
    ("spec", "checkpoint", "url"): lambda job: (f"{job.spec.output.rstrip('/')}/checkpoints", "in the output"),
    ("spec", "checkpoint", "every_steps"): _interval,
    ("spec", "evaluation", "every_steps"): _interval,
    ("spec", "evaluation", "requests"): _requests,
}
"""How each derived field follows from the others; a later one may use an earlier one."""


def _at(job: MusicTrainingJob, path: tuple[str, ...]) -> BaseModel | None:
    value: Any = job
    for name in path:
        value = getattr(value, name)
        if value is None:
            return None
    assert isinstance(value, BaseModel)
    return value


def _given_paths(model: BaseModel, prefix: tuple[str, ...]) -> Iterator[str]:
    for name in model.model_fields_set:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _given_paths(value, (*prefix, name))
        elif value is not None:
            yield ".".join((*prefix, name))


def _leaves(job: MusicTrainingJob) -> Iterator[tuple[str, str, Any]]:
    """(attribute path, camelCase path, value) of every leaf under spec; lists of models are leaves."""
    for field in walk.fields_of(MusicTrainingJob):
        if field.path[0] != "spec" or "[]" in field.path:
            continue
        value: Any = job
        attributes = []
        for name in field.path:
            if value is None:
                break
            info = type(value).model_fields
            attribute = next(a for a, i in info.items() if (i.alias or a) == name)
            attributes.append(attribute)
            value = getattr(value, attribute)
        else:
            if not isinstance(value, BaseModel):
                yield ".".join(attributes), ".".join(field.path), value
