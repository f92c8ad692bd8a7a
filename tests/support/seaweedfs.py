"""A real S3 server for the tests: SeaweedFS in one process, on free ports of this machine, in a folder of its own.

Invariant: nothing is shared between two servers, and nothing listens beyond the address that it was given or reports
home.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import obstore
from obstore.store import S3Store

from support.ports import free_ports

BUCKET = "music"
"""Exists from the start; S3 wants names of three letters at least."""

_ACCESS_KEY = "tests"
_SECRET_KEY = "the-secret-of-the-tests"
_START_SECONDS = 60


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        endpoint: its URL.
        environment: the variables with which a process reaches it.
    """

    endpoint: str
    environment: dict[str, str]

    @property
    def secret(self) -> str:
        return self.environment["AWS_SECRET_ACCESS_KEY"]

    @property
    def store(self) -> S3Store:
        """Its bucket; a request that fails is not tried again."""
        return S3Store(
            BUCKET,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=_ACCESS_KEY,
            secret_access_key=_SECRET_KEY,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )


@contextmanager
def running(folder: Path, address: str = "127.0.0.1") -> Iterator[S3Server]:
    """Serve S3 from ``folder`` at an address of this machine, for the length of the context.

    Raises:
        RuntimeError: the server did not come up; the message ends with its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    s3, *others = free_ports(8, address)
    log = folder / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(folder, address, s3, others), stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        endpoint = f"http://{address}:{s3}"
        server = S3Server(endpoint, _environment(endpoint))
        _await_ready(server, process, log)
        yield server
    finally:
        process.kill()  # its data is thrown away: a graceful stop would only wait for volume heartbeats
        process.wait()
        for socket_file in Path("/tmp").glob("seaweedfs-*-grpc-*.sock"):  # weed has no flag for these
            if socket_file.stem.rpartition("-")[2] in map(str, others):
                socket_file.unlink(missing_ok=True)


def _command(folder: Path, address: str, s3: int, ports: list[int]) -> list[str]:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    credentials = folder / "identities.json"
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": _ACCESS_KEY, "secretKey": _SECRET_KEY}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    credentials.write_text(json.dumps({"identities": [identity]}))
    flags = {
        "dir": data,
        "ip": address,
        "master.port": ports[0],
        "master.port.grpc": ports[1],
        "master.volumeSizeLimitMB": 64,
        "master.volumePreallocate": "false",
        "master.telemetry": "false",
        "volume.port": ports[2],
        "volume.port.grpc": ports[3],
        "volume.max": 100,
        "filer": "true",
        "filer.port": ports[4],
        "filer.port.grpc": ports[5],
        "filer.localSocket": folder / "filer.sock",
        "s3": "true",
        "s3.port": s3,
        "s3.port.grpc": ports[6],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": folder / "s3.sock",
        "s3.config": credentials,
        "s3.autoCreateBucket": "false",
    }
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    return [str(weed), "server", *(f"-{name}={value}" for name, value in flags.items())]


def _environment(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
    }


def _await_ready(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when a bucket exists that takes and gives an object."""
    store = server.store
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            _create_bucket(store)
            obstore.put(store, "ready", b"ready")
            obstore.delete(store, "ready")
        except (OSError, obstore.exceptions.BaseError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _create_bucket(store: S3Store) -> None:
    """PUT on the bucket itself, which obstore has no call for but can sign."""
    url = obstore.sign(store, "PUT", "", timedelta(minutes=1))
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != HTTPStatus.CONFLICT:  # it exists: an earlier try got this far
            raise
