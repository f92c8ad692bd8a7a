"""The evaluator of NetworkPolicies says what the documentation of Kubernetes says, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from support.network_policies import End, Network

WEB = End("10.0.1.1", "shop", {"app": "web"})
DATABASE = End("10.0.1.2", "shop", {"app": "db"}, {"sql": 5432})
FRIEND = End("10.0.2.1", "friends", {"app": "web"})
STRANGER = End("10.0.3.1", "strangers", {"app": "web"})
OUTSIDE = End("198.51.100.7")

NAMESPACES = {"friends": {"trusted": "yes"}}


def policy(**spec: Any) -> dict[str, Any]:
    """A policy for the database."""
    return {"metadata": {"namespace": "shop"}, "spec": {"podSelector": {"matchLabels": {"app": "db"}}, **spec}}


def opened(*rules: dict[str, Any]) -> dict[str, Any]:
    """One that lets in by these rules."""
    return policy(policyTypes=["Ingress"], ingress=list(rules))


CLOSED = opened()
ALL = opened({})
FROM_WEB = opened({"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]})
FROM_FRIENDS = opened({"from": [{"namespaceSelector": {"matchLabels": {"trusted": "yes"}}}]})
FROM_WEB_OF_FRIENDS = opened(
    {
        "from": [
            {
                "namespaceSelector": {"matchLabels": {"trusted": "yes"}},
                "podSelector": {"matchLabels": {"app": "web"}},
            }
        ]
    }
)
FROM_WEB_OR_FRIENDS = opened(
    {
        "from": [
            {"namespaceSelector": {"matchLabels": {"trusted": "yes"}}},
            {"podSelector": {"matchLabels": {"app": "web"}}},
        ]
    }
)
FROM_BLOCK = opened({"from": [{"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"]}}]})
PORTS = opened({"ports": [{"port": 5432}, {"port": 6000, "endPort": 6010}, {"protocol": "UDP", "port": 53}]})
NAMED = opened({"ports": [{"port": "sql"}]})
UNLABELLED = opened({"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}}]})
SOME = opened(
    {"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}}]}
)
OTHERS = opened(
    {"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}}]}
)
NO_WAY_OUT = policy(policyTypes=["Egress"], egress=[])
OUT_BY_HTTPS = policy(policyTypes=["Egress"], egress=[{"ports": [{"port": 443}]}])

# policies, from, to, port, protocol, whether
CASES = [
    ("no policy", [], STRANGER, DATABASE, 1, "TCP", True),
    ("a policy of others selects nobody here", [CLOSED], STRANGER, WEB, 1, "TCP", True),
    ("closed", [CLOSED], WEB, DATABASE, 1, "TCP", False),
    ("closed does not hold in what goes out", [CLOSED], DATABASE, WEB, 1, "TCP", True),
    ("an empty rule lets all in", [ALL], OUTSIDE, DATABASE, 1, "TCP", True),
    ("policies add up", [CLOSED, ALL], WEB, DATABASE, 1, "TCP", True),
    ("pods of the same namespace", [FROM_WEB], WEB, DATABASE, 1, "TCP", True),
    ("namesakes in another", [FROM_WEB], FRIEND, DATABASE, 1, "TCP", False),
    ("a namespace by label", [FROM_FRIENDS], FRIEND, DATABASE, 1, "TCP", True),
    ("another namespace", [FROM_FRIENDS], STRANGER, DATABASE, 1, "TCP", False),
    ("both of a pair", [FROM_WEB_OF_FRIENDS], FRIEND, DATABASE, 1, "TCP", True),
    ("one of a pair", [FROM_WEB_OF_FRIENDS], WEB, DATABASE, 1, "TCP", False),
    ("one of two", [FROM_WEB_OR_FRIENDS], WEB, DATABASE, 1, "TCP", True),
    ("the other of two", [FROM_WEB_OR_FRIENDS], FRIEND, DATABASE, 1, "TCP", True),
    ("none of two", [FROM_WEB_OR_FRIENDS], STRANGER, DATABASE, 1, "TCP", False),
    ("an address", [FROM_BLOCK], OUTSIDE, DATABASE, 1, "TCP", True),
    ("an excepted address", [FROM_BLOCK], End("198.51.100.200"), DATABASE, 1, "TCP", False),
    ("an address elsewhere", [FROM_BLOCK], WEB, DATABASE, 1, "TCP", False),
    ("selectors pass over what is no pod", [FROM_FRIENDS], OUTSIDE, DATABASE, 1, "TCP", False),
    ("a port", [PORTS], WEB, DATABASE, 5432, "TCP", True),
    ("another port", [PORTS], WEB, DATABASE, 5433, "TCP", False),
    ("a range, its end", [PORTS], WEB, DATABASE, 6010, "TCP", True),
    ("beyond the range", [PORTS], WEB, DATABASE, 6011, "TCP", False),
    ("a protocol", [PORTS], WEB, DATABASE, 53, "UDP", True),
    ("another protocol", [PORTS], WEB, DATABASE, 5432, "UDP", False),
    ("a named port", [NAMED], WEB, DATABASE, 5432, "TCP", True),
    ("a port without the name", [NAMED], WEB, DATABASE, 5433, "TCP", False),
    ("a label that is not there", [UNLABELLED], End("10.0.1.9", "shop"), DATABASE, 1, "TCP", True),
    ("a label that should not be there", [UNLABELLED], WEB, DATABASE, 1, "TCP", False),
    ("a value among some", [SOME], WEB, DATABASE, 1, "TCP", True),
    ("a value among others", [OTHERS], WEB, DATABASE, 1, "TCP", False),
    ("no way out", [NO_WAY_OUT], DATABASE, WEB, 443, "TCP", False),
    ("no way out is no way in", [NO_WAY_OUT], WEB, DATABASE, 443, "TCP", True),
    ("out by a port", [OUT_BY_HTTPS], DATABASE, OUTSIDE, 443, "TCP", True),
    ("out by another port", [OUT_BY_HTTPS], DATABASE, OUTSIDE, 80, "TCP", False),
    ("out needs the leave of the other end", [OUT_BY_HTTPS, CLOSED], DATABASE, DATABASE, 443, "TCP", False),
]


@pytest.mark.parametrize(
    ("policies", "source", "target", "port", "protocol", "allowed"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_what_is_allowed(
    policies: list[dict[str, Any]], source: End, target: End, port: int, protocol: str, allowed: bool
) -> None:
    assert Network(policies, NAMESPACES).allows(source, target, port, protocol) is allowed


def test_types_follow_from_what_is_there_where_they_are_left_out() -> None:
    silent = {"metadata": {"namespace": "shop"}, "spec": {"podSelector": {}}}
    assert not Network([silent]).allows(WEB, DATABASE, 1)
    assert Network([silent]).allows(WEB, OUTSIDE, 1)
    assert not Network([{**silent, "spec": {"podSelector": {}, "egress": []}}]).allows(WEB, OUTSIDE, 1)
