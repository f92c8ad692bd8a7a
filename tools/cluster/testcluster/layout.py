"""Where a cluster is: its folder, its names and its addresses, all of which follow from the checkout and one number.

Invariant: two clusters with different folders and different numbers share nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
NODES = ("node1", "node2")


@dataclass(frozen=True)
class Layout:
    """A cluster's places.

    Attributes:
        folder: everything that it keeps, below ``.tools`` of its checkout.
        network: the second number of its addresses, 10.NETWORK.*.*; also in its names on this machine.
    """

    folder: Path
    network: int

    @property
    def name(self) -> str:
        """Of its interface and control groups on this machine."""
        return f"mtj{self.network}"

    @property
    def host_address(self) -> str:
        """This machine's own, at which pods reach a server that runs outside the cluster."""
        return f"10.{self.network}.0.1"

    @property
    def control_address(self) -> str:
        """The control plane's, with the API server and the name server."""
        return f"10.{self.network}.0.2"

    def node_address(self, node: str) -> str:
        return f"10.{self.network}.0.{11 + NODES.index(node)}"

    def pods(self, node: str) -> str:
        """The addresses of a node's pods."""
        return f"10.{self.network}.{1 + NODES.index(node)}.0/24"

    @property
    def all_pods(self) -> str:
        return f"10.{self.network}.0.0/17"

    @property
    def services(self) -> str:
        """The virtual addresses of Services, which only nodes know."""
        return f"10.{self.network}.128.0/17"

    @property
    def api_url(self) -> str:
        return f"https://{self.control_address}:6443"

    @property
    def certificate(self) -> Path:
        """What the API server shows, which is its own authority."""
        return self.control / "pki/apiserver.crt"

    @property
    def control(self) -> Path:
        """What the control plane keeps; a new cluster starts with nothing in it."""
        return self.folder / "control"

    def node(self, node: str) -> Path:
        """What a node keeps; its images outlive the cluster, in ``containerd``."""
        return self.folder / node

    def log(self, program: str) -> Path:
        return self.folder / "logs" / f"{program}.log"

    def program(self, name: str) -> str:
        """The path of a program that ``tools/cluster/build`` made."""
        return str(self.folder / "bin" / name)


FOLDER = CHECKOUT / ".tools/cluster"
KUBECONFIG = FOLDER / "kubeconfig"
"""The administrator's; it is there while, and only while, the cluster is ready."""
