"""A real Prometheus, for as long as a test needs it."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.ports import free_ports

_START_SECONDS = 60


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus; ``url`` is its own."""

    url: str

    def query(self, expression: str, ahead: float = 0.0) -> list[dict[str, Any]]:
        """What an expression comes to: each series' labels (``metric``) and its ``value``, [time, "number"].

        Args:
            expression: in PromQL.
            ahead: seconds from now at which it is asked; Prometheus then takes what it has for the latest.
        """
        found = self._get("query", query=expression, time=f"{time.time() + ahead:.3f}")["data"]["result"]
        assert isinstance(found, list)
        return found

    def targets(self) -> dict[str, str]:
        """The URLs that it asks, with their last error, which is empty where there was none."""
        active = self._get("targets", state="active")["data"]["activeTargets"]
        return {target["scrapeUrl"]: target["lastError"] for target in active}

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def running(folder: Path, *scrapes: Mapping[str, Any]) -> Iterator[Prometheus]:
    """One that scrapes every second for the length of the context.

    Args:
        folder: of its data and log.
        scrapes: the entries of ``scrape_configs``.

    Raises:
        RuntimeError: Prometheus did not start; the message ends with its log.
    """
    (port,) = free_ports(1)
    config, log = folder / "prometheus.json", folder / "prometheus.log"
    every = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    config.write_text(json.dumps({"global": every, "scrape_configs": scrapes}))  # which is YAML too
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + _START_SECONDS
        while not _is_ready(server):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Prometheus did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)
        yield server
    finally:
        process.kill()
        process.wait()


def _is_ready(server: Prometheus) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/-/ready", timeout=5):
            return True
    except OSError:
        return False
