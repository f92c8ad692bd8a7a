"""What NetworkPolicies allow, by the rules of ``networking.k8s.io/v1``: for clusters whose network enforces none.

A connection needs the leave of both ends. An end that no policy selects for its direction gives it; one that some do
select, when a rule of any of them does. Invariant: an address in an ``ipBlock`` counts for pods too, as some networks
have it, so that what this refuses every network refuses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Object = Mapping[str, Any]
Direction = Literal["Ingress", "Egress"]

NAME_LABEL = "kubernetes.io/metadata.name"
"""Every namespace has it, from the API server."""


@dataclass(frozen=True)
class End:
    """One end of a connection.

    Attributes:
        address: its IP.
        namespace: of the pod; empty for what is no pod.
        labels: of the pod.
        ports: numbers of the pod's ports, by name.
    """

    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A cluster's namespaces and policies.

    Attributes:
        policies: of all namespaces.
        namespaces: their labels by name, beside the one of the name.
    """

    policies: Sequence[Object]
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def allows(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
        """Whether ``source`` may open a connection to a port of ``target``."""
        leaves = self._gives_leave("Egress", source, target, target, port, protocol)
        return leaves and self._gives_leave("Ingress", target, source, target, port, protocol)

    def _gives_leave(self, to: Direction, own: End, other: End, target: End, port: int, protocol: str) -> bool:
        selecting = [policy for policy in self.policies if self._selects(policy, own, to)]
        rules = [rule for policy in selecting for rule in _rules(policy, to)]
        return not selecting or any(
            self._has_peer(rule, to, own, other) and _has_port(rule, target, port, protocol) for rule in rules
        )

    def _selects(self, policy: Object, own: End, to: Direction) -> bool:
        spec = policy["spec"]
        types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
        here = bool(own.namespace) and policy["metadata"]["namespace"] == own.namespace
        return here and to in types and matches(spec.get("podSelector", {}), own.labels)

    def _has_peer(self, rule: Object, to: Direction, own: End, other: End) -> bool:
        peers = rule.get("from" if to == "Ingress" else "to")
        return not peers or any(self._is(peer, own, other) for peer in peers)

    def _is(self, peer: Object, own: End, other: End) -> bool:
        if "ipBlock" in peer:
            return _lies_in(other.address, peer["ipBlock"])
        if not other.namespace:
            return False
        if "namespaceSelector" in peer:
            labels = {NAME_LABEL: other.namespace, **self.namespaces.get(other.namespace, {})}
            right_namespace = matches(peer["namespaceSelector"], labels)
        else:
            right_namespace = other.namespace == own.namespace
        return right_namespace and matches(peer.get("podSelector", {}), other.labels)


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether labels are what a selector asks for; an empty one asks for nothing."""
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", ())
    match expression["operator"]:
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case other:
            raise ValueError(f"{other} is no operator of a selector")


def _rules(policy: Object, to: Direction) -> Iterator[Object]:
    yield from policy["spec"].get(to.lower()) or ()


def _has_port(rule: Object, target: End, port: int, protocol: str) -> bool:
    wanted = rule.get("ports")
    return not wanted or any(_is_port(one, target, port, protocol) for one in wanted)


def _is_port(wanted: Object, target: End, port: int, protocol: str) -> bool:
    if wanted.get("protocol", "TCP") != protocol:
        return False
    if "port" not in wanted:
        return True
    first = wanted["port"]
    if isinstance(first, str):
        return target.ports.get(first) == port
    return bool(first <= port <= wanted.get("endPort", first))


def _lies_in(address: str, block: Object) -> bool:
    found = ipaddress.ip_address(address)
    within = [ipaddress.ip_network(block["cidr"]), *(ipaddress.ip_network(one) for one in block.get("except") or ())]
    return found in within[0] and not any(found in one for one in within[1:])
