"""The cluster's cables: a switch on the control machine, with this machine and every node plugged into it.

Everything is routed and nothing is translated: a pod is seen under its own address by the other pods, by the control
plane and by this machine. No pod reaches beyond this machine.

Invariant: what is made here is gone when the control machine is switched off, because a pair of plugs goes with
either of its ends, and routes go with their plug.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess

from testcluster.layout import NODES, Layout

_CANDIDATES = range(64, 128)
"""The second numbers of networks 10.*.0.0/16 that a cluster may take; the first that is free here."""

_WIDE = 8
"""A route this wide (in bits) says where a whole private network is, and not that one of its addresses is in use."""


def free_network() -> int:
    """The number of a network that this machine has no address in and no route to.

    Raises:
        RuntimeError: there is none.
    """
    listed = subprocess.run(["ip", "-json", "-4", "route", "show", "table", "all"], check=True, capture_output=True)
    routes = [ipaddress.ip_network(route["dst"]) for route in json.loads(listed.stdout) if route["dst"] != "default"]
    for number in _CANDIDATES:
        network = ipaddress.ip_network(f"10.{number}.0.0/16")
        if not any(route.prefixlen > _WIDE and route.overlaps(network) for route in routes):
            return number
    raise RuntimeError("no network for the cluster is free: this machine has routes to all of 10.64.0.0 to 10.127.0.0")


def plug_control(layout: Layout, pid: int) -> None:
    """Make the switch on the control machine, and plug this machine into it."""
    _ip(
        f"link add {layout.name} type veth peer name host netns {pid}",
        f"address add {layout.host_address}/24 dev {layout.name}",
        f"link set {layout.name} up",
        *_routes_to_pods(layout),
    )
    _ip(
        "link set lo up",
        "link add switch type bridge",
        f"address add {layout.control_address}/24 dev switch",
        "link set switch up",
        "link set host master switch up",
        *_routes_to_pods(layout),
        machine=pid,
    )


def plug_node(layout: Layout, node: str, pid: int, control: int) -> None:
    """Plug a node into the switch."""
    _ip(
        f"link add {node} type veth peer name eth0 netns {pid}",
        f"link set {node} master switch up",
        machine=control,
    )
    _ip(
        "link set lo up",
        f"address add {layout.node_address(node)}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {layout.host_address}",
        *_routes_to_pods(layout, but=node),
        machine=pid,
    )


def _routes_to_pods(layout: Layout, but: str = "") -> list[str]:
    return [f"route add {layout.pods(node)} via {layout.node_address(node)}" for node in NODES if node != but]


def _ip(*commands: str, machine: int | None = None) -> None:
    """Run ``ip`` commands here, or in the network of the machine with this first process."""
    inside = [] if machine is None else ["nsenter", f"--target={machine}", "--net", "--"]
    done = subprocess.run(
        [*inside, "ip", "-batch", "-"], input="\n".join(commands), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"the cluster's network could not be made: {done.stderr.strip()}")
