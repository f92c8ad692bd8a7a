"""The control machine's first process: etcd, the API server, the controllers, the scheduler and the name server.

Nothing of a cluster outlives it: etcd starts empty, and need not wait for its disk.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from testcluster import credentials
from testcluster.layout import Layout
from testcluster.machine import be_first_process, start, wait_until

_ETCD = "http://127.0.0.1:2379"
_GANGS = "GenericWorkload=true,GangScheduling=true"
"""Kubernetes' own gang scheduling, an alpha of 1.35 that serves the kind Workload."""

_API_SECONDS = 120

_DNS_READS = "endpointslices.discovery.k8s.io,namespaces,pods,services"

_COREFILE = """\
.:53 {{
  bind {address}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig} mtj
    ttl 2
  }}
}}
"""


def boot(layout: Layout) -> None:
    etcd = {
        "data-dir": layout.control / "etcd",
        "listen-client-urls": _ETCD,
        "advertise-client-urls": _ETCD,
        "unsafe-no-fsync": "true",
    }
    start(_command(layout, "etcd", etcd), layout.log("etcd"))
    start(_command(layout, "kube-apiserver", _api_server(layout)), layout.log("kube-apiserver"))
    wait_until(
        lambda: is_ready(layout), _API_SECONDS, f"the API server did not start: see {layout.log('kube-apiserver')}"
    )

    controllers = {
        "kubeconfig": credentials.kubeconfig(layout, credentials.CONTROLLERS),
        "leader-elect": "false",
        "service-account-private-key-file": credentials.signing_key(layout),
        "root-ca-file": layout.certificate,
        "use-service-account-credentials": "true",
        "feature-gates": _GANGS,
    }
    start(_command(layout, "kube-controller-manager", controllers), layout.log("kube-controller-manager"))
    scheduler = {
        "kubeconfig": credentials.kubeconfig(layout, credentials.SCHEDULER),
        "leader-elect": "false",
        "feature-gates": _GANGS,
    }
    start(_command(layout, "kube-scheduler", scheduler), layout.log("kube-scheduler"))
    kubectl(layout, "create", "clusterrole", "coredns", "--verb=list,watch", f"--resource={_DNS_READS}")
    kubectl(layout, "create", "clusterrolebinding", "coredns", "--clusterrole=coredns", "--user=system:coredns")
    corefile = layout.control / "Corefile"
    dns = credentials.kubeconfig(layout, credentials.DNS)
    corefile.write_text(_COREFILE.format(address=layout.control_address, kubeconfig=dns))
    start([layout.program("coredns"), "-conf", str(corefile)], layout.log("coredns"))


def is_ready(layout: Layout) -> bool:
    """Whether the API server answers and has made the rights that every cluster starts with."""
    return layout.certificate.exists() and kubectl(layout, "get", "--raw=/readyz").returncode == 0


def kubectl(layout: Layout, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the administrator asked for, which may have failed."""
    asked = [layout.program("kubectl"), f"--kubeconfig={credentials.kubeconfig(layout, credentials.ADMIN)}"]
    return subprocess.run([*asked, *arguments], capture_output=True, text=True, check=False)


def _api_server(layout: Layout) -> dict[str, object]:
    return {
        "etcd-servers": _ETCD,
        "cert-dir": layout.control / "pki",
        "bind-address": layout.control_address,
        "advertise-address": layout.control_address,
        "secure-port": 6443,
        "service-cluster-ip-range": layout.services,
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": credentials.signing_key(layout),
        "service-account-signing-key-file": credentials.signing_key(layout),
        "token-auth-file": credentials.tokens(layout),
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "kubelet-client-certificate": credentials.kubelet_client(layout, "crt"),
        "kubelet-client-key": credentials.kubelet_client(layout, "key"),
        "kubelet-preferred-address-types": "InternalIP",
        "feature-gates": _GANGS,
        "runtime-config": "scheduling.k8s.io/v1alpha1=true",
    }


def _command(layout: Layout, program: str, flags: dict[str, object]) -> list[str]:
    return [layout.program(program), *(f"--{name}={value}" for name, value in flags.items())]


if __name__ == "__main__":
    here = Layout(Path(sys.argv[1]), int(sys.argv[2]))
    be_first_process(lambda: boot(here))
