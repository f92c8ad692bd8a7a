"""The places that a job names: relative paths made absolute, and places that would get in each other's way."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote, urlsplit

from mtj_api import JobError, MusicTrainingJob

PLACES: tuple[tuple[str, ...], ...] = (
    ("dataset", "source"),
    ("dataset", "cache"),
    ("model", "pretrained"),
    ("checkpoint", "url"),
    ("output",),
)
"""Attributes below ``spec`` that hold the URL or path of a place."""


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
        owner = moved.spec
        for name in path[:-1]:
            owner = getattr(owner, name)
        place = None if owner is None else getattr(owner, path[-1])
        if place is not None:
            setattr(owner, path[-1], _absolute(place, directory, home))
    _keep_out_of_source(moved)
    return moved


def local_path(url: str) -> str | None:
    """The path that a place on this machine has; ``None`` for one that lies elsewhere."""
    if url.startswith("file://"):
        return unquote(urlsplit(url).path)
    return None if "://" in url else url


def _absolute(url: str, directory: str, home: str) -> str:
    path = local_path(url)
    if path is None:
        return url.rstrip("/")
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    return posixpath.normpath(posixpath.join(directory, path))


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
