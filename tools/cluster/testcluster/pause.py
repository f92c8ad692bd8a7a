"""The image of the container that holds a pod's namespaces open: one static program, put into an archive by hand."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

NAME = "localhost/pause:1"


def write_archive(program: Path, archive: Path) -> None:
    """Write an image of the program alone, in the form that ``docker save`` has."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as files:
        files.add(program, "pause")
    layer = content.getvalue()
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [NAME], "Layers": [f"{digest}/layer.tar"]}]
    members = {
        "config.json": json.dumps(config).encode(),
        f"{digest}/layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    with tarfile.open(archive, "w") as out:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
