"""The images of the cluster: what ``imagebuild`` builds of the project's, brought to the nodes.

Invariant: an image that is there under its name has the content that its name says, so it is not brought to a node
again.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from imagebuild import buildah
from imagebuild.buildah import BUILDAH, outdated, repository, run
from imagebuild.recipes import OPERATOR, TRAINER_SYSTEM
from testcluster import node, supervisor
from testcluster.layout import FOLDER, NODES


def build() -> list[str]:
    """Build those images that are not there, and say what all of them are called."""
    return buildah.build([OPERATOR, TRAINER_SYSTEM])


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
            _ctr(one, "images", "tag", "--force", name, f"{repository(name)}:dev")
    wanted = [*names, *(f"{repository(name)}:dev" for name in names)]
    for one in NODES:
        there = _images_of(one)
        old = outdated(there, wanted)
        numbers = {name for name in there if name.startswith("sha256:")}
        named = {there[name] for name in there.keys() - numbers - set(old)}
        old += [number for number in numbers if there[number] not in named]
        if old:
            _ctr(one, "images", "remove", *old)


def _images_of(name: str) -> dict[str, str]:
    """What a node calls its images, with their digests; containerd keeps each under its own number, too."""
    rows = (line.split() for line in _ctr(name, "images", "list").splitlines()[1:])
    return {row[0]: row[2] for row in rows}


def _import(name: str, nodes: Iterable[str]) -> None:
    archive = FOLDER / "image.tar"
    archive.unlink(missing_ok=True)  # of one that was interrupted
    run([*BUILDAH, "push", "--quiet", name, f"docker-archive:{archive}:{name}"])
    with ThreadPoolExecutor() as side_by_side:
        list(side_by_side.map(lambda one: _ctr(one, "images", "import", str(archive)), nodes))
    archive.unlink()


def _ctr(name: str, *arguments: str) -> str:
    """What containerd's own client prints on a node."""
    inside = ["nsenter", f"--target={supervisor.pid_file(name).read_text()}", "--mount", "--"]
    return run([*inside, *node.CTR, *arguments])
