"""The places that a job names: made absolute, refused where no pod could keep them or one would spoil another."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from mtj_api import JobError, MusicTrainingJob
from mtj_api.spec import Volume
from mtj_api.spec.model import MUSICGEN_FAMILIES

READ: tuple[tuple[str, ...], ...] = (
    ("dataset", "source"),
    ("dataset", "prepared"),
    ("model", "pretrained"),
    ("model", "codec", "url"),
)
WRITTEN: tuple[tuple[str, ...], ...] = (("output",), ("dataset", "cache"), ("checkpoint", "url"))
PLACES = READ + WRITTEN
"""Attributes below ``spec`` that hold the URL or path of a place, those last that follow from another."""

_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def absolute(job: MusicTrainingJob, directory: str, home: str) -> MusicTrainingJob:
    """The job with each place as an ``s3://`` URL or an absolute path, so that it means the same everywhere.

    Args:
        job: a resolved job; it is left as it is.
        directory: what relative paths are relative to; absolute.
        home: what a leading ``~`` means.

    Raises:
        JobError: something would be written into the source, where the next run would take it for music.
    """
    moved = job.model_copy(deep=True)
    for path in PLACES:
        _replace(moved, path, lambda place: _absolute(place, directory, home))
    _keep_out_of_source(moved)
    return moved


def on_cluster(job: MusicTrainingJob) -> MusicTrainingJob:
    """The job with each place as an ``s3://`` URL or an absolute path on a volume that outlives its pods.

    Args:
        job: a resolved job; it is left as it is.

    Raises:
        JobError: a place would vanish with the pod that wrote it, cannot be written, or lies in the source.
    """
    moved = job.model_copy(deep=True)
    volumes = job.spec.scheduling.pod_template.volumes
    for path in PLACES:
        _replace(moved, path, partial(_kept, path=path, volumes=volumes))
    _keep_out_of_source(moved)
    return moved


def is_on_hub(job: MusicTrainingJob) -> bool:
    """Whether the model to start from is named as a model hub does, ``owner/name``, and so lies at no place."""
    model = job.spec.model
    if model is None or model.pretrained is None or model.family not in MUSICGEN_FAMILIES:
        return False
    return _HUB_NAME.fullmatch(model.pretrained) is not None


def local_path(url: str) -> str | None:
    """The path that a place on this machine has; ``None`` for one that lies elsewhere."""
    if url.startswith("file://"):
        return unquote(urlsplit(url).path)
    return None if "://" in url else url


def volume_of(path: str, volumes: Sequence[Volume]) -> Volume | None:
    """Which of a pod's volumes an absolute path lies on; ``None`` for none."""
    around = [volume for volume in volumes if _lies_in(path, volume.mount_path)]
    return max(around, key=lambda volume: len(volume.mount_path), default=None)


def _replace(job: MusicTrainingJob, path: tuple[str, ...], change: Callable[[str], str]) -> None:
    owner: Any = job.spec
    for name in path[:-1]:
        owner = None if owner is None else getattr(owner, name)
    place = None if owner is None else getattr(owner, path[-1])
    if place is not None and not (path == ("model", "pretrained") and is_on_hub(job)):
        setattr(owner, path[-1], change(place))


def _absolute(url: str, directory: str, home: str) -> str:
    path = local_path(url)
    if path is None:
        return url.rstrip("/")
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    return posixpath.normpath(posixpath.join(directory, path))


def _kept(url: str, path: tuple[str, ...], volumes: Sequence[Volume]) -> str:
    """The place as every pod of the job has it."""
    local, where = local_path(url), ".".join(("spec", *path))
    if local is None:
        return url.rstrip("/")
    if not local.startswith("/"):
        raise JobError(
            f"{url} is relative to a working directory, which pods do not share",
            where=where,
            instead="write s3://bucket/prefix, or a path on a persistentVolumeClaim of scheduling.podTemplate.volumes",
        )
    found = posixpath.normpath(local)
    under = volume_of(found, volumes)
    if under is None or under.persistent_volume_claim is None:
        raise JobError(
            f"{url} lies on no volume that outlives a pod",
            where=where,
            instead="write s3://bucket/prefix, or mount a persistentVolumeClaim there by "
            "scheduling.podTemplate.volumes",
        )
    if under.persistent_volume_claim.read_only and path in WRITTEN:
        raise JobError(
            f"{url} lies on the volume {under.name}, which is mounted to be read only",
            where=where,
            instead="name another place, or leave readOnly out of the volume",
        )
    return found


def _lies_in(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{posixpath.normpath(folder).rstrip('/')}/")


def _keep_out_of_source(job: MusicTrainingJob) -> None:
    source = job.spec.dataset.source
    written = {
        "spec.output": job.spec.output,
        "spec.dataset.cache": job.spec.dataset.cache,
        "spec.checkpoint.url": job.spec.checkpoint.url,
    }
    for field, url in written.items():
        if source is not None and f"{url}/".startswith(f"{source.rstrip('/')}/"):
            raise JobError(
                f"{url} lies in dataset.source, so the next run would take what is written there for music",
                where=field,
                instead="name a place outside of the source",
            )
