"""The images of the cluster: built by buildah, named by the hash of what they are made of, and brought to the nodes.

No registry is needed. What stands where a Dockerfile says ``FROM ${BASE_IMAGE}`` is a small Debian with Python, which
is made once on a machine and kept, like the other images, by buildah.

Invariant: an image that is there under its name has the content that its name says, so it is neither built nor brought
to a node again.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from testcluster import node, supervisor
from testcluster.layout import CHECKOUT, FOLDER, NODES

_BUILDAH = ["buildah", "--storage-driver", "overlay"]
_TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")

_BASE_COMMAND = [
    *("mmdebstrap", "--variant=minbase", "--mode=root", "--include=python3,ca-certificates"),
    *(
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
    ),
    "bookworm",
]


@dataclass(frozen=True)
class Image:
    """What an image is made of.

    Attributes:
        name: without the registry and the tag.
        dockerfile: below the checkout.
        parts: the files and folders that it copies, below the checkout.
    """

    name: str
    dockerfile: str
    parts: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        folders = [CHECKOUT / part for part in self.parts]
        inside = [path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*"))]
        sources = sorted(path for path in inside if path.is_file() and "__pycache__" not in path.parts)
        return [CHECKOUT / self.dockerfile, *sources]


IMAGES = (
    Image(
        "mtj-operator",
        "images/operator.Dockerfile",
        ("requirements/operator.txt", "operator/mtj_api", "operator/mtj_operator"),
    ),
    Image("mtj-test-trainer", "tests/cluster/images/trainer.Dockerfile"),
)


def build() -> list[str]:
    """Build those images that are not there, and say what all of them are called."""
    base = f"localhost/mtj-base:{_hash([' '.join(_BASE_COMMAND).encode()])}"
    if not _is_built(base):
        _build_base(base)
    names = []
    for image in IMAGES:
        content = (
            part for file in image.files for part in (str(file.relative_to(CHECKOUT)).encode(), file.read_bytes())
        )
        names.append(f"localhost/{image.name}:{_hash([base.encode(), *content])}")
        if not _is_built(names[-1]):
            _build(image, names[-1], base)
    built = _run([*_BUILDAH, "images", "--format", "{{.Name}}:{{.Tag}}"]).split()
    if outdated := _outdated(built, [base, *names]):
        subprocess.run([*_BUILDAH, "rmi", *outdated], capture_output=True, check=False)  # one in use stays
    return names


def bring(names: Iterable[str]) -> None:
    """Bring images to those nodes that do not have them, where each is called ``NAME:dev`` too."""
    names = list(names)
    had = {one: _images_of(one) for one in NODES}
    for name in names:
        lacking = [one for one in NODES if name not in had[one]]
        if lacking:
            print(f"bringing {name} to {' and '.join(lacking)}", flush=True)
            _import(name, lacking)
        for one in NODES:
            _ctr(one, "images", "tag", "--force", name, f"{_repository(name)}:dev")
    wanted = [*names, *(f"{_repository(name)}:dev" for name in names)]
    for one in NODES:
        there = _images_of(one)
        outdated = _outdated(there, wanted)
        numbers = {name for name in there if name.startswith("sha256:")}
        named = {there[name] for name in there.keys() - numbers - set(outdated)}
        outdated += [number for number in numbers if there[number] not in named]
        if outdated:
            _ctr(one, "images", "remove", *outdated)


def _images_of(name: str) -> dict[str, str]:
    """What a node calls its images, with their digests; containerd keeps each under its own number, too."""
    rows = (line.split() for line in _ctr(name, "images", "list").splitlines()[1:])
    return {row[0]: row[2] for row in rows}


def _import(name: str, nodes: Iterable[str]) -> None:
    archive = FOLDER / "image.tar"
    archive.unlink(missing_ok=True)  # of one that was interrupted
    _run([*_BUILDAH, "push", "--quiet", name, f"docker-archive:{archive}:{name}"])
    with ThreadPoolExecutor() as side_by_side:
        list(side_by_side.map(lambda one: _ctr(one, "images", "import", str(archive)), nodes))
    archive.unlink()


def _repository(name: str) -> str:
    return name.rpartition(":")[0]


def _outdated(there: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Earlier versions of the images that are wanted."""
    repositories = {_repository(name) for name in wanted}
    return [name for name in there if name not in wanted and _repository(name) in repositories]


def _build_base(name: str) -> None:
    print("making a Debian with Python, once", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        _run([*_BASE_COMMAND, f"{folder}/root.tar"])
        (Path(folder) / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
        _run([*_BUILDAH, "build", "--quiet", "--isolation", "chroot", "--tag", name, folder])


def _build(image: Image, name: str, base: str) -> None:
    print(f"building {name}", flush=True)
    trust = ["--volume", f"{_TRUSTED}:{_TRUSTED}:ro"] if _TRUSTED.exists() else []
    options = ["--quiet", "--isolation", "chroot", "--network", "host", "--layers", *trust]
    source = ["--build-arg", f"BASE_IMAGE={base}", "--file", str(CHECKOUT / image.dockerfile), str(CHECKOUT)]
    _run([*_BUILDAH, "build", *options, "--tag", name, *source])


def _is_built(name: str) -> bool:
    found = subprocess.run([*_BUILDAH, "inspect", "--type", "image", name], capture_output=True, check=False)
    return found.returncode == 0


def _hash(parts: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()[:16]


def _ctr(name: str, *arguments: str) -> str:
    """What containerd's own client prints on a node."""
    inside = ["nsenter", f"--target={supervisor.pid_file(name).read_text()}", "--mount", "--"]
    return _run([*inside, *node.CTR, *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:6])} ... failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout
