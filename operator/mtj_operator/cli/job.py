"""The job that a command is about: read, checked as far as this machine can, and placed."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mtj_api import JobError, Resolution, load_job, load_open_job
from mtj_api.spec import Volume
from mtj_operator.plan import absolute
from mtj_operator.plan.places import is_on_hub, local_path, volume_of
from mtj_operator.plan.sources import references

WEIGHTS = ("*.safetensors", "state_dict.bin")
"""Of a job, transformers or peft; and of audiocraft."""


def read_job(file: str, settings: Sequence[str], *, to_run: bool = False, needs_source: bool = True) -> Resolution:
    """The job in a file (``-`` is standard input), with the user's settings, and with absolute places.

    Args:
        file: the job file.
        settings: values that take the place of the file's.
        to_run: whether it is to run on this machine, so that what lies on volumes of pods has to be here too.
        needs_source: whether its source has to be there.

    Raises:
        JobError: it is wrong, refers to itself, or names a place on this machine that is not there.
    """
    if file == "-":
        source, resolution = "standard input", load_open_job(sys.stdin.buffer, "standard input", settings)
    else:
        source, resolution = file, load_job(Path(file), settings)
    try:
        references(resolution.job)
        job = absolute(resolution.job, str(Path.cwd()), str(Path.home()))
        spec, volumes = job.spec, [] if to_run else job.spec.scheduling.pod_template.volumes
        path = _here(spec.dataset.source, volumes)
        if path and (needs_source or Path(path).exists()):
            _check_source(path, resolution.job.spec.dataset.source or "", source)
        if path := _here(spec.dataset.prepared, volumes):
            _check_prepared(path)
        if spec.model is not None and not is_on_hub(job) and (path := _here(spec.model.pretrained, volumes)):
            _check_model(path, "spec.model.pretrained")
        if spec.model is not None and spec.model.codec and (path := _here(spec.model.codec.url, volumes)):
            _check_model(path, "spec.model.codec.url")
        if path := _here(spec.output, volumes):
            _check_output(path)
    except JobError as error:
        raise error.at(source) from None
    return dataclasses.replace(resolution, job=job)


def _here(url: str | None, volumes: Sequence[Volume]) -> str | None:
    """The path of a place that is to be on this machine; ``None`` where it is not."""
    path = None if url is None else local_path(url)
    return None if path is None or volume_of(path, volumes) else path


def _check_source(path: str, written: str, file: str) -> None:
    if Path(path).is_dir():
        return
    where = "spec.dataset.source"
    if Path(path).exists():
        raise JobError(
            f"{path} is a file", where=where, instead=f"name the folder that it lies in: {Path(path).parent}"
        )
    beside = Path(file).parent
    if beside != Path() and (beside / written).is_dir():
        raise JobError(
            f"there is no folder {path}, as relative paths start at the working directory",
            where=where,
            instead=f"run mtj in {beside}, or write {beside / written}",
        )
    raise JobError(f"there is no folder {path}", where=where, instead="name a folder with audio or MIDI files")


def _check_model(path: str, where: str) -> None:
    if _holds_model(Path(path)):
        return
    inside = Path(path) / "model"
    instead = f"write {inside}" if _holds_model(inside) else "name the 'model' folder of a finished job"
    raise JobError(f"there is no model in {path}", where=where, instead=instead)


def _holds_model(folder: Path) -> bool:
    """Whether a folder has weights, in one file or several, of a whole model or of what adapts one."""
    return any(any(folder.glob(pattern)) for pattern in WEIGHTS)


def _check_prepared(path: str) -> None:
    if not (Path(path) / "stages/prepare.json").is_file():
        raise JobError(
            f"the job of {path} has not prepared its data",
            where="spec.dataset.prepared",
            instead="name the output of a job that has",
        )


def _check_output(path: str) -> None:
    """Whether the output can be written: the nearest folder that is there must be one, and ours."""
    there = Path(path)
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise JobError(
            f"{there} is a file, so no folder can be made there", where="spec.output", instead="name another"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise JobError(f"{there} may not be written", where="spec.output", instead="name a folder of yours")
