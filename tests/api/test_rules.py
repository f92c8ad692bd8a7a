"""Each rule over several fields refuses what it is for, in Python and on a real API server alike."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mtj_api import JobError, MusicTrainingJob, parse_job
from mtj_api.spec.base import URL_RULE
from support.jobs import document, text
from support.rules import CASES, FORM, FORMS, TWICE, WrittenRule, forms_of_the_resource, rules_of_the_resource
from support.verdict import Judge

by_rule = pytest.mark.parametrize(("beginning", "wrong", "right"), [(k, *v) for k, v in CASES.items()], ids=CASES)


def the_rule(beginning: str) -> WrittenRule:
    (rule,) = [rule for rule in rules_of_the_resource() if rule.cel.startswith(beginning)]
    return rule


def test_every_rule_has_a_case() -> None:
    assert [rule.cel for rule in rules_of_the_resource() if not rule.cel.startswith(tuple(CASES))] == []


@by_rule
def test_a_rule_refuses_what_it_is_for(beginning: str, wrong: dict[str, Any], right: dict[str, Any]) -> None:
    MusicTrainingJob.model_validate(document(**right))
    with pytest.raises(ValidationError) as refused:
        MusicTrainingJob.model_validate(document(**wrong))
    assert [error["msg"] for error in refused.value.errors()] == [the_rule(beginning).message]


@by_rule
def test_the_api_server_gives_the_same_verdict(
    beginning: str, wrong: dict[str, Any], right: dict[str, Any], judge: Judge
) -> None:
    assert judge.faults(document(**right)) == []
    (fault,) = judge.faults(document(**wrong))
    assert fault.endswith(f": {the_rule(beginning).message}")


@pytest.mark.parametrize(("beginning", "wrong", "right"), [(k, *v) for k, v in FORMS.items()], ids=FORMS)
def test_a_text_of_another_form_is_refused_by_both_in_the_same_words(
    beginning: str, wrong: dict[str, Any], right: dict[str, Any], judge: Judge
) -> None:
    (form,) = [form for form in forms_of_the_resource() if form.message.startswith(f"{FORM}write {beginning}")]
    parse_job(text(**right))
    assert judge.faults(document(**right)) == []
    with pytest.raises(JobError) as refused:
        parse_job(text(**wrong))
    assert str(refused.value).endswith(f" has the wrong form; {form.message.removeprefix(FORM)}")
    (fault,) = judge.faults(document(**wrong))
    assert fault.endswith(f": {form.message}")


def test_every_form_has_a_case() -> None:
    beginnings = tuple(f"{FORM}write {beginning}" for beginning in FORMS)
    assert [form.message for form in forms_of_the_resource() if not form.message.startswith(beginnings)] == []


@pytest.mark.parametrize(("value", "spec"), TWICE.items(), ids=TWICE)
def test_what_is_there_twice_is_refused_by_both(value: str, spec: dict[str, Any], judge: Judge) -> None:
    with pytest.raises(ValidationError, match=f"{value} is there twice; keep one"):
        MusicTrainingJob.model_validate(document(**spec))
    (fault,) = judge.faults(document(**spec))
    assert "Duplicate value" in fault
    assert f'"{value}"' in fault


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("s3://bucket", True),
        ("s3://bucket/a/b", True),
        ("s3://", False),
        ("s3:///a", False),
        ("s3:/bucket", False),
        ("file:///a/b", True),
        ("file://host/a", False),
        ("file:/a", False),
        ("gs://bucket", False),
        ("https://example.org/a", False),
        ("music", True),
        ("./a b/ä", True),
        ("/a/b:c", True),
        ("~/music", True),
        ("c:/music", False),
    ],
)
def test_a_place_is_on_s3_or_in_a_folder(url: str, known: bool, judge: Judge) -> None:
    assert URL_RULE.holds(url) is known
    assert (judge.faults(document(output=url)) == []) is known
