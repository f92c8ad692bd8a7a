"""The operator as a real process, with the rights of its service account alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from support.kubectl import REPOSITORY
from support.kubernetes_api import ApiServer
from support.ports import free_ports
from support.witness import eventually

NAMESPACE = "mtj-system"

RESOURCE = "crd/musictrainingjobs.training.discomusica.io"

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["mtj_operator.control.main"])


class Operator:
    """An operator that was started.

    Attributes:
        process: its process.
        log: the file that it logs to.
        url: of its health and metrics.
    """

    def __init__(self, process: subprocess.Popen[bytes] | ForkServerProcess, log: Path, port: int) -> None:
        self.process = process
        self.log = log
        self.url = f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        pid = self.process.pid
        assert pid is not None
        return pid

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.process.kill()
        self.wait()

    def terminate(self) -> int:
        """Ask it to stop; its exit status."""
        self.process.terminate()
        return self.wait()

    def wait(self, seconds: float = 60) -> int:
        """Its exit status, once it has ended."""
        if isinstance(self.process, subprocess.Popen):
            return self.process.wait(seconds)
        self.process.join(seconds)
        assert self.process.exitcode is not None, "it has not ended"
        return self.process.exitcode

    def says(self, words: str) -> bool:
        """Whether it has logged this."""
        return self.log.exists() and words in self.log.read_text()

    def has_ended(self) -> bool:
        """Whether it has ended."""
        if isinstance(self.process, subprocess.Popen):
            return self.process.poll() is not None
        return not self.process.is_alive()

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer; status 0 where it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def health(self) -> dict[str, Any]:
        """What ``/healthz`` says; empty where it does not answer."""
        _, text = self.get("/healthz")
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series of this name that have these labels."""
        _, text = self.get("/metrics")
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(part in line for part in wanted))

    def wait_until_it_acts(self) -> None:
        """Return once it holds the lease and knows all children."""
        eventually(lambda: self.has_ended() or bool(self.health().get("leader")), 60)
        assert not self.has_ended(), self.log.read_text()


Start = Callable[..., AbstractContextManager[Operator]]
"""Starts an operator with more flags; see ``running``."""


def install(server: ApiServer) -> None:
    """Bring in everything of manifests/operator, as its user does it."""
    server.kubectl.within(NAMESPACE)("apply", "--server-side", "--kustomize", str(REPOSITORY / "manifests/operator"))
    server.kubectl.wait(RESOURCE, "condition=Established")


def service_account(server: ApiServer, folder: Path, url: str = "") -> Path:
    """A kubeconfig with the rights of the operator's service account, for the server or for a proxy before it."""
    token = server.kubectl.within(NAMESPACE)("create", "token", "mtj-operator").strip()
    path = server.write_kubeconfig(folder / f"operator-{uuid.uuid4().hex[:6]}.kubeconfig", token)
    if url:
        path.write_text(path.read_text().replace(server.url, url))
    return path


@contextmanager
def running(
    kubeconfig: Path, folder: Path, *flags: str, quick: bool = False, name: str = "operator"
) -> Iterator[Operator]:
    """An operator for the length of the context.

    Args:
        kubeconfig: the API server, and as whom.
        folder: of its log.
        flags: more of them.
        quick: whether it is forked from a process that has loaded its code already, and starts in a fraction of
            the time; otherwise it starts as its image starts it.
        name: of its log.
    """
    (port,) = free_ports(1)
    log = folder / f"{name}.log"
    arguments = ["--trainer-image=mtj-trainer", f"--lease-namespace={NAMESPACE}", f"--port={port}", *flags]
    process: subprocess.Popen[bytes] | ForkServerProcess
    if quick:
        process = _FORKS.Process(target=_forked, args=(str(kubeconfig), str(log), arguments), daemon=True)
        process.start()
    else:
        command = [sys.executable, "-m", "mtj_operator.control", *arguments]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        with log.open("ab") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    operator = Operator(process, log, port)
    try:
        yield operator
    finally:
        if not operator.has_ended():
            operator.terminate()  # and not killed, so that the next one need not wait for the end of its lease


def _forked(kubeconfig: str, log: str, arguments: Sequence[str]) -> None:
    os.environ["KUBECONFIG"] = kubeconfig
    with Path(log).open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    from mtj_operator.control.main import main

    sys.exit(main(arguments))
