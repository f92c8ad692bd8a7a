"""Builds images with buildah, on a base of its own making where no other is named.

No registry is needed. What stands where a Dockerfile says ``FROM ${BASE_IMAGE}`` is then a small Debian with Python,
which is made once on a machine and kept, like the other images, by buildah.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from imagebuild.recipes import CHECKOUT, REGISTRY, Image, digest

BUILDAH = ["buildah", "--storage-driver", "overlay"]
_LOCK = CHECKOUT / ".tools/images.lock"
_TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")

_BASE_COMMAND = [
    *("mmdebstrap", "--variant=minbase", "--mode=root", "--include=python3,ca-certificates,usr-is-merged"),
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",  # as usr-is-merged, unlike usrmerge, needs no Perl
    '--aptopt=APT::Install-Recommends "false"',
    *(
        f"--dpkgopt={option}"
        for option in (
            "force-unsafe-io",
            "path-exclude=/usr/share/man/*",
            "path-exclude=/usr/share/locale/*",
            "path-exclude=/usr/share/doc/*",
            "path-include=/usr/share/doc/*/copyright",
        )
    ),
    "bookworm",
]


def build(images: Iterable[Image], base: str = "", **arguments: str) -> list[str]:
    """Build those images that are not there, and say what all of them are called. A second caller waits for the first.

    Args:
        images: they.
        base: what they are built on; empty for the Debian that is made here.
        arguments: of the Dockerfiles, beside the base.

    Raises:
        RuntimeError: one could not be built; the text ends with what was printed.
    """
    names = []
    with _one_at_a_time():
        base = base or _own_base()
        for image in images:
            names.append(image.tagged(" ".join([base, *arguments.values()])))
            if not _is_built(names[-1]):
                print(f"building {names[-1]}", flush=True)
                _build(image, names[-1], {"BASE_IMAGE": base, **arguments})
        built = run([*BUILDAH, "images", "--format", "{{.Name}}:{{.Tag}}"]).split()
        if old := outdated(built, [base, *names]):
            subprocess.run([*BUILDAH, "rmi", *old], capture_output=True, check=False)  # one in use stays
    return names


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    _LOCK.parent.mkdir(exist_ok=True)
    with _LOCK.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def outdated(there: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Earlier versions of the images that are wanted."""
    repositories = {repository(name) for name in wanted}
    return [name for name in there if name not in wanted and repository(name) in repositories]


def repository(name: str) -> str:
    return name.rpartition(":")[0]


def run(command: list[str]) -> str:
    """What a command prints.

    Raises:
        RuntimeError: it failed; the text ends with all that it printed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:6])} ... failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def _own_base() -> str:
    """The Debian with Python, made where it is not there; what it is called."""
    name = f"{REGISTRY}/mtj-base:{digest([' '.join(_BASE_COMMAND).encode()])}"
    if not _is_built(name):
        print("making a Debian with Python, once", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            run([*_BASE_COMMAND, f"{folder}/root.tar"])
            (Path(folder) / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
            run([*BUILDAH, "build", "--quiet", "--isolation", "chroot", "--tag", name, folder])
    return name


def _build(image: Image, name: str, arguments: dict[str, str]) -> None:
    volumes = ["--volume", f"{_TRUSTED}:{_TRUSTED}:ro"] if _TRUSTED.exists() else []
    if cache := _package_cache():
        volumes += ["--volume", f"{cache}:/var/cache/uv"]
    options = ["--quiet", "--isolation", "chroot", "--network", "host", "--layers", *volumes]
    if image.target:
        options += ["--target", image.target]
    for key, value in {"REVISION": _revision(), **arguments}.items():
        options += ["--build-arg", f"{key}={value}"]
    run([*BUILDAH, "build", *options, "--tag", name, "--file", str(CHECKOUT / image.dockerfile), str(CHECKOUT)])


def _package_cache() -> Path | None:
    """What uv has fetched for this machine, so that nothing is fetched twice."""
    with suppress(OSError, subprocess.CalledProcessError):
        uv = CHECKOUT / ".tools/bin/uv"
        found = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
        if os.access(found, os.W_OK):
            return Path(found)
    return None


def _revision() -> str:
    asked = ["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _is_built(name: str) -> bool:
    found = subprocess.run([*BUILDAH, "inspect", "--type", "image", name], capture_output=True, check=False)
    return found.returncode == 0
