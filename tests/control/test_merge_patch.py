"""The smallest patch that makes one status of another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtj_operator.control.reconcile import merge_patch

Values = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
Objects = st.dictionaries(st.sampled_from("abcd"), Values, max_size=4)


def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """What an API server makes of a merge patch: RFC 7386, section 2."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            was = result.get(name)
            result[name] = merged(was if isinstance(was, dict) else {}, value)
        else:
            result[name] = value
    return result


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(Objects, Objects)
def test_it_makes_the_one_of_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert merged(before, merge_patch(before, after)) == after


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(Objects)
def test_between_equals_it_is_empty(value: dict[str, Any]) -> None:
    assert merge_patch(value, value) == {}


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"state": "Running"}, {"state": "Failed"}, {"state": "Failed"}),
        ({"progress": {"step": 1, "of": 9}}, {"progress": {"step": 2, "of": 9}}, {"progress": {"step": 2}}),
        ({"progress": {"step": 1}}, {}, {"progress": None}),
        ({"stages": [1, 2]}, {"stages": [1, 3]}, {"stages": [1, 3]}),
        ({"loss": 1.0}, {"loss": 1}, {}),
    ],
)
def test_it_says_what_changed_alone(before: dict[str, Any], after: dict[str, Any], patch: dict[str, Any]) -> None:
    assert merge_patch(before, after) == patch
