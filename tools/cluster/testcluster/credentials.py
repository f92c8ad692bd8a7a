"""Who is who in the cluster: a random token each, made when it starts, and the kubeconfigs that hold them.

The API server shows kubelets a certificate instead, which they know as the only one that they may trust.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path

from testcluster.layout import NODES, Layout

ADMIN, CONTROLLERS, SCHEDULER, PROXY, DNS = "admin", "controllers", "scheduler", "proxy", "dns"

_USERS = {
    ADMIN: ("admin", "system:masters"),
    CONTROLLERS: ("system:kube-controller-manager", ""),
    SCHEDULER: ("system:kube-scheduler", ""),
    PROXY: ("system:kube-proxy", ""),
    DNS: ("system:coredns", ""),
    **{node: (f"system:node:{node}", "system:nodes") for node in NODES},
}


def create(layout: Layout) -> None:
    """Write the list of tokens, everyone's kubeconfig, and the keys."""
    folder = layout.control
    folder.mkdir(mode=0o700)
    rows = []
    for number, (who, (user, group)) in enumerate(_USERS.items()):
        token = secrets.token_hex(24)
        rows.append(f'{token},{user},{number},"{group}"\n')
        _write_kubeconfig(layout, who, token)
    tokens(layout).write_text("".join(rows))
    _openssl("genrsa", "-out", str(signing_key(layout)), "2048")
    _openssl(
        *(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-noenc",
            "-days",
            "30",
            "-subj",
            "/O=system:masters/CN=kube-apiserver",
        ),
        *("-addext", "extendedKeyUsage=clientAuth"),
        *("-keyout", str(kubelet_client(layout, "key")), "-out", str(kubelet_client(layout, "crt"))),
    )


def tokens(layout: Layout) -> Path:
    return layout.control / "tokens.csv"


def signing_key(layout: Layout) -> Path:
    """Of service accounts' tokens."""
    return layout.control / "service-accounts.key"


def kubelet_client(layout: Layout, part: str) -> Path:
    """The API server's ``key`` or certificate (``crt``) as a client of kubelets."""
    return layout.control / f"kubelet-client.{part}"


def kubeconfig(layout: Layout, who: str) -> Path:
    return layout.control / f"{who}.kubeconfig"


def _write_kubeconfig(layout: Layout, who: str, token: str) -> None:
    cluster = {"server": layout.api_url, "certificate-authority": str(layout.certificate)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "mtj", "cluster": cluster}],
        "users": [{"name": who, "user": {"token": token}}],
        "contexts": [{"name": "mtj", "context": {"cluster": "mtj", "user": who}}],
        "current-context": "mtj",
    }
    kubeconfig(layout, who).write_text(json.dumps(config))


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
