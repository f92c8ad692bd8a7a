"""A real Kubernetes API server for tests that need no nodes: etcd and kube-apiserver, on free ports of this machine.

It needs no root and is up in seconds. RBAC and Pod Security are on, as in a cluster. Where a test needs the garbage
collector or Jobs that act, it names the controllers that are to run; nothing schedules or runs a pod.

Invariant: nothing is shared between two servers, and nothing listens beyond 127.0.0.1.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.kubectl import Kubectl, binaries
from support.ports import free_ports

GANGS = "GenericWorkload=true,GangScheduling=true"
"""The feature gates of Kubernetes' own gang scheduling, an alpha of 1.35 that serves the kind Workload."""

_ADMIN_TOKEN = "the-admin-of-the-tests"
_START_SECONDS = 60


class ApiServer:
    """A running API server, its etcd and, perhaps, its controllers.

    Attributes:
        url: where it listens.
        etcd_url: where its etcd does.
        certificate: the file of the certificate that it shows, which is its own authority.
        kubeconfig: a file that makes its reader the administrator.
        kubectl: kubectl with that file.
    """

    def __init__(self, folder: Path, etcd_url: str, port: int, gangs: bool) -> None:
        self.url = f"https://127.0.0.1:{port}"
        self.etcd_url = etcd_url
        self.certificate = folder / "pki/apiserver.crt"
        self.kubeconfig = folder / "admin.kubeconfig"
        self.kubectl = Kubectl(self.kubeconfig)
        self._folder = folder
        self._command = _api_server_command(folder, etcd_url, port, gangs)
        self._process: subprocess.Popen[bytes] | None = None
        self.write_kubeconfig(self.kubeconfig, _ADMIN_TOKEN)

    def start(self) -> None:
        """Start it, again after ``kill``, and return when it is ready.

        Raises:
            RuntimeError: it did not come up; the message ends with its log.
        """
        self._process = _started(self._command, self._folder / "kube-apiserver.log")
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._is_ready():
                return
            time.sleep(0.1)
        log = (self._folder / "kube-apiserver.log").read_text(errors="replace")
        raise RuntimeError(f"kube-apiserver did not start:\n{log[-4000:]}")

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does: watches break off, and what it had confirmed is in etcd."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def write_kubeconfig(self, path: Path, token: str) -> Path:
        """The path, with a kubeconfig for the owner of a token, such as ``kubectl create token`` gives, in it."""
        cluster = {"server": self.url, "certificate-authority": str(self.certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": {"token": token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "current-context": "tests",
        }
        path.write_text(json.dumps(config))
        return path

    def _is_ready(self) -> bool:
        if not self.certificate.exists():
            return False
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {_ADMIN_TOKEN}"})
        try:
            trusted = ssl.create_default_context(cafile=str(self.certificate))
            with urllib.request.urlopen(request, timeout=5, context=trusted):
                return True
        except OSError:
            return False


@contextmanager
def running(folder: Path, *, gangs: bool = True, controllers: Sequence[str] = ()) -> Iterator[ApiServer]:
    """Serve the API from ``folder`` for the length of the context.

    Args:
        gangs: whether the alpha kind Workload is served.
        controllers: kube-controller-manager's controllers that run too, such as ``job-controller``,
            ``garbage-collector-controller``, ``namespace-controller`` and ``serviceaccount-controller``.

    Raises:
        RuntimeError: it did not come up; the message ends with the log.
    """
    (folder / "pki").mkdir(parents=True, exist_ok=True)
    client, peer, port = free_ports(3)
    etcd_url = f"http://127.0.0.1:{client}"
    with ExitStack() as stack:
        etcd = _started(_etcd_command(folder, etcd_url, f"http://127.0.0.1:{peer}"), folder / "etcd.log")
        stack.callback(_end, etcd)
        server = ApiServer(folder, etcd_url, port, gangs)
        stack.callback(server.kill)
        server.start()
        if controllers:
            manager = _started(_controllers_command(server, folder, controllers), folder / "controllers.log")
            stack.callback(_end, manager)
        yield server


def _etcd_command(folder: Path, client: str, peer: str) -> list[str]:
    flags = {
        "data-dir": folder / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
    }
    return [str(binaries() / "etcd"), "--unsafe-no-fsync", *(f"--{name}={value}" for name, value in flags.items())]


def _api_server_command(folder: Path, etcd_url: str, port: int, gangs: bool) -> list[str]:
    (folder / "tokens.csv").write_text(f'{_ADMIN_TOKEN},admin,admin,"system:masters"\n')
    key = folder / "service-accounts.key"
    if not key.exists():
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    flags = {
        "etcd-servers": etcd_url,
        "cert-dir": folder / "pki",
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": port,
        "endpoint-reconciler-type": "none",  # refuses a loopback address, which no pod of this server ever uses
        "service-cluster-ip-range": "10.96.0.0/16",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        "token-auth-file": folder / "tokens.csv",
        "authorization-mode": "RBAC",
    }
    if gangs:
        flags |= {"feature-gates": GANGS, "runtime-config": "scheduling.k8s.io/v1alpha1=true"}
    return [str(binaries() / "kube-apiserver"), *(f"--{name}={value}" for name, value in flags.items())]


def _controllers_command(server: ApiServer, folder: Path, controllers: Sequence[str]) -> list[str]:
    flags = {
        "kubeconfig": server.kubeconfig,
        "controllers": ",".join(controllers),
        "leader-elect": "false",
        "secure-port": 0,
        "root-ca-file": server.certificate,
        "service-account-private-key-file": folder / "service-accounts.key",
    }
    return [str(binaries() / "kube-controller-manager"), *(f"--{name}={value}" for name, value in flags.items())]


def _started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # its data is thrown away: nothing is worth a graceful stop
    process.wait()
