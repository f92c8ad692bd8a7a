"""A node's first process: containerd, the kubelet and kube-proxy.

What these programs keep in fixed places of a machine lies in memory here, so that two nodes do not meet there; pods'
volumes and images are on disk, below the node's folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from testcluster import control, credentials, pause
from testcluster.layout import Layout
from testcluster.machine import be_first_process, start, wait_until

SOCKET = "/run/containerd.sock"
"""Where containerd listens, on the node's own ``/run``."""

_FIXED_PLACES = ("/run", "/var/lib/cni", "/var/log")
_PLUGINS = ("/usr/lib/cni", "/opt/cni/bin")
"""Where distributions put the programs that connect a pod to the network."""

_CONTAINERD_SECONDS = 30
_API_SECONDS = 120

_CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Where CAP_SYS_RESOURCE is missing, runc dies of the wish to make a process less likely to be killed for memory.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
"""


def boot(layout: Layout, name: str) -> None:
    folder = layout.node(name)
    for place in _FIXED_PLACES:
        Path(place).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    plugins = next(place for place in _PLUGINS if (Path(place) / "bridge").exists())
    _write(folder / "cni/10-pods.conflist", _pod_network(layout, name))
    containerd = folder / "containerd.toml"
    containerd.write_text(_CONTAINERD.format(folder=folder, socket=SOCKET, pause=pause.NAME, plugins=plugins))
    start(["containerd", "--config", str(containerd)], layout.log(f"containerd-{name}"))
    why = f"containerd did not start: see {layout.log(f'containerd-{name}')}"
    wait_until(lambda: subprocess.run([*CTR, "version"], capture_output=True).returncode == 0, _CONTAINERD_SECONDS, why)

    pause.write_archive(Path(layout.program("pause")), Path("/run/pause.tar"))
    subprocess.run([*CTR, "images", "import", "/run/pause.tar"], check=True)

    wait_until(lambda: control.is_ready(layout), _API_SECONDS, "the API server did not start")
    kubelet = _write(folder / "kubelet.json", _kubelet(layout, name, folder))
    flags = [
        f"--config={kubelet}",
        f"--kubeconfig={credentials.kubeconfig(layout, name)}",
        f"--root-dir={folder}/kubelet",
        f"--cert-dir={folder}/kubelet/pki",
        f"--hostname-override={name}",
        f"--node-ip={layout.node_address(name)}",
    ]
    start([layout.program("kubelet"), *flags], layout.log(f"kubelet-{name}"))
    proxy = _write(folder / "kube-proxy.json", _proxy(layout, name))
    start([layout.program("kube-proxy"), f"--config={proxy}"], layout.log(f"kube-proxy-{name}"))


CTR = ["ctr", f"--address={SOCKET}", "--namespace=k8s.io"]


def _pod_network(layout: Layout, name: str) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": "/run/pod-addresses",
        "ranges": [[{"subnet": layout.pods(name)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def _kubelet(layout: Layout, name: str, folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.node_address(name),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(credentials.kubelet_client(layout, "crt"))},
        },
        "authorization": {"mode": "Webhook"},
        "readOnlyPort": 0,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{group(layout, name)}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [layout.control_address],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "volumePluginDir": f"{folder}/kubelet/volume-plugins",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def _proxy(layout: Layout, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": layout.all_pods,
        "hostnameOverride": name,
        "clientConnection": {"kubeconfig": str(credentials.kubeconfig(layout, credentials.PROXY))},
        "conntrack": {"maxPerCore": 0, "min": 0},  # the table's size is this machine's affair
    }


def group(layout: Layout, name: str) -> str:
    """The node's control group."""
    return f"{layout.name}-{name}"


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
    return path


if __name__ == "__main__":
    here = Layout(Path(sys.argv[1]), int(sys.argv[2]))
    be_first_process(lambda: boot(here, sys.argv[3]))
