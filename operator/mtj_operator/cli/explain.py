"""``mtj explain``: what a job comes to, why, what it needs, and what will disappoint."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mtj_api import MusicTrainingJob, Resolution
from mtj_api.advice import Machine, Survey, advise
from mtj_api.cluster_advice import is_for_cluster
from mtj_api.estimate import Started, divided_parts, offloaded_parts, process_memory
from mtj_api.resolve import GIVEN, ResolvedValue
from mtj_api.spec import Training
from mtj_operator.cli.job import read_job
from mtj_operator.cli.started import started_sizes
from mtj_operator.cli.survey import survey
from mtj_operator.execute.machine import this_machine
from mtj_operator.plan.sources import references

WIDTH = 110
NEEDS_MODEL = ("spec.checkpoint.", "spec.evaluation.", "spec.dataset.augmentation.", "spec.model", "spec.training")
"""What says nothing in a job without a model."""


@dataclass(frozen=True)
class Explanation:
    """All that is known of a job before it runs.

    Attributes:
        values: (path, plain value, reason) of each value that has an effect.
        memory: bytes that a training process holds, by what holds them; empty where it is not known.
        survey: what the source has.
        not_surveyed: why that is not known.
        machine: this machine.
        advice: sentences.
    """

    values: tuple[tuple[str, Any, str], ...]
    memory: dict[str, int]
    survey: Survey | None
    not_surveyed: str
    machine: Machine
    advice: tuple[str, ...]


def explain(file: str, settings: Sequence[str], *, as_json: bool, look: bool) -> int:
    """Print the explanation of the job in ``file``; the exit status.

    Args:
        file: the job file.
        settings: values that take the place of the file's.
        as_json: whether to print JSON.
        look: whether to look at the source.
    """
    resolution = read_job(file, settings, needs_source=look)
    found, why_not = survey(resolution.job) if look else (None, "it was not asked for")
    machine, started = this_machine(), started_sizes(resolution.job)
    explanation = Explanation(
        values=tuple(_values(resolution)),
        memory=_memory(resolution, machine, started),
        survey=found,
        not_surveyed=why_not,
        machine=machine,
        advice=tuple(advise(resolution, found, machine, started)),
    )
    print(_as_json(explanation) if as_json else "\n".join(_as_text(resolution.job, explanation)))
    return 0


def _values(resolution: Resolution) -> Iterator[tuple[str, Any, str]]:
    for value in resolution.values:
        if _acts(value, resolution):
            yield value.path, _plain(value.value), value.reason


def _acts(value: ResolvedValue, resolution: Resolution) -> bool:
    """Whether a value has an effect that is worth knowing: most of scheduling's defaults ask for nothing."""
    spec = resolution.job.spec
    if spec.model is None and value.path.startswith(NEEDS_MODEL):
        return False
    if value.path.startswith("spec.training.deepspeed."):
        return spec.training is not None and spec.training.engine == "deepspeed"
    if value.path.startswith("spec.scheduling."):
        retries = value.path.startswith("spec.scheduling.retries.")
        return value.reason == GIVEN or (retries and is_for_cluster(resolution))
    return True


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True, exclude_none=True)
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _memory(resolution: Resolution, machine: Machine, started: Started | None) -> dict[str, int]:
    spec = resolution.job.spec
    if spec.training is None:
        return {}
    gpu = bool(machine.gpus or spec.scheduling.resources.train.gpus)
    estimate = process_memory(spec, _processes(spec.training), started, gpu=gpu)
    if estimate is None:
        return {}
    parts = {field.name: getattr(estimate, field.name) for field in dataclasses.fields(estimate)}
    return {**{part: size for part, size in parts.items() if size}, "total": estimate.total}


def _processes(training: Training) -> int:
    """The fewest that may train: what is divided among them is largest then."""
    return training.min_nodes * training.processes_per_node


def _as_json(explanation: Explanation) -> str:
    document = dataclasses.asdict(explanation)
    document["values"] = [{"path": p, "value": v, "reason": r} for p, v, r in explanation.values]
    return json.dumps(document, indent=2, ensure_ascii=False)


def _as_text(job: MusicTrainingJob, explanation: Explanation) -> Iterator[str]:
    yield f"{job.metadata.name}: every value, and the reason for it"
    yield from _table([(p.removeprefix("spec."), _short(v), r) for p, v, r in explanation.values])
    if explanation.memory and job.spec.training is not None:
        yield ""
        yield from _memory_table(job.spec.training, explanation.memory)
    yield ""
    found, machine = explanation.survey, explanation.machine
    if job.spec.dataset.from_job is not None:
        yield f"music: data of job {job.spec.dataset.from_job.job}"
    elif found is None:
        yield f"music: the source was not looked at ({explanation.not_surveyed})"
    else:
        about = "about " if found.estimated else ""
        hours = f"{found.midi_hours:.3g} h of MIDI and {found.audio_hours:.3g} h of audio"
        yield f"music: {found.files} files, {about}{hours}"
    for reference in references(job):
        result = "data" if reference.stage == "prepare" else "model"
        yield f"waits for: the {result} of job {reference.job} ({reference.field.removeprefix('spec.')})"
    memory = f", {machine.memory / 2**30:.0f} GiB" if machine.memory else ""
    yield f"machine: {machine.cores} cores{memory}, {machine.gpus or 'no'} GPU{'s' if machine.gpus > 1 else ''}"
    yield ""
    if not explanation.advice:
        yield "nothing to warn of"
    for sentence in explanation.advice:
        yield textwrap.fill(sentence, WIDTH, initial_indent="! ", subsequent_indent="  ")


def _memory_table(training: Training, memory: Mapping[str, int]) -> Iterator[str]:
    processes = _processes(training)
    machines = f" on {training.min_nodes} machines" if training.min_nodes > 1 else ""
    who = f"each of {processes} training processes{machines}" if processes > 1 else "the training process"
    yield f"memory of {who}, about"
    for part, size in memory.items():
        divided = f"  divided by {processes}" if part in divided_parts(training) and processes > 1 else ""
        elsewhere = "  in the machine's memory" if part in offloaded_parts(training) else ""
        yield f"  {part.replace('_', ' '):<17} {_mebibytes(size):>11}{divided}{elsewhere}"


def _table(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    """Three columns; the reason of a value that is too wide for its own comes on the next line."""
    first, second = max(len(path) for path, _, _ in rows), 22
    for path, value, reason in rows:
        if len(value) <= second:
            yield f"  {path:<{first}}  {value:<{second}}  {reason}"
        else:
            yield f"  {path:<{first}}  {value}"
            yield f"  {'':<{first}}  {'':<{second}}  {reason}"


def _short(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_short(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_short(item)}' for key, item in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
