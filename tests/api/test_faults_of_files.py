"""The sentence that a file gets with no job, or with a wrong head of one, and a setting that does not fit the job."""

from __future__ import annotations

import pytest

from support.jobs import SMALLEST, WITH_MODEL, refusal

HEADER = "begin with 'apiVersion: training.discomusica.io/v1alpha1' and 'kind: MusicTrainingJob'"

FILES = {
    "an empty file": ("", f"job.yaml: there is no MusicTrainingJob here (the file is empty); {HEADER}"),
    "another resource": (
        "kind: Pod",
        f"job.yaml: there is no MusicTrainingJob here (found Pod); {HEADER}",
    ),
    "no kind": (
        "spec: {}",
        f"job.yaml: there is no MusicTrainingJob here (found something without a kind); {HEADER}",
    ),
    "a list": ("- a\n- b", f"job.yaml: the document is not a mapping; {HEADER}"),
    "two jobs": (SMALLEST + "---\n" + SMALLEST, "job.yaml: there are 2 jobs here; keep one job a file"),
    "a tab": (
        SMALLEST + "\tmodel: {}",
        (
            "job.yaml:7: not valid YAML: found character '\\t' that cannot start any token; "
            "mend the indentation or quoting"
        ),
    ),
    "a control character": (
        SMALLEST + "\x00",
        "job.yaml: not valid YAML: special characters are not allowed; mend the indentation or quoting",
    ),
    "a key twice": (
        SMALLEST + "  output: ./elsewhere",
        "job.yaml:7: spec.output is given twice; keep one (see line 6)",
    ),
    "an alias in itself": (
        SMALLEST + "  model: &all\n    pretrained: *all",
        "job.yaml:7: an alias stands inside of what it repeats; write the value out",
    ),
    "nested without end": ("[" * 3000, f"job.yaml: the YAML is nested too deeply; {HEADER}"),
    "no apiVersion": (
        SMALLEST.partition("\n")[2],
        "job.yaml:1: apiVersion: this field is missing; add 'apiVersion: training.discomusica.io/v1alpha1'",
    ),
    "another apiVersion": (
        SMALLEST.replace("v1alpha1", "v1"),
        (
            'job.yaml:1: apiVersion: "training.discomusica.io/v1" is not a choice here; '
            "write training.discomusica.io/v1alpha1"
        ),
    ),
    "no metadata": (
        SMALLEST.replace("metadata: {name: chorales}\n", ""),
        "job.yaml:1: metadata: this field is missing; add 'metadata: {name: chorales}'",
    ),
    "no name": (
        SMALLEST.replace("{name: chorales}", "{labels: {a: b}}"),
        "job.yaml:3: metadata.name: this field is missing; add 'name: chorales'",
    ),
    "a name with capitals": (
        SMALLEST.replace("{name: chorales}", "{name: Bach_Chorales}"),
        (
            'job.yaml:3: metadata.name: "Bach_Chorales" has the wrong form; '
            "write lower-case letters, digits and '-' between them, such as my-chorales"
        ),
    ),
    "a long name": (
        SMALLEST.replace("{name: chorales}", f"{{name: {'a' * 60}}}"),
        "job.yaml:3: metadata.name: the text has 60 characters; write at most 45",
    ),
    "a number for a name": (
        SMALLEST.replace("{name: chorales}", "{name: 2024}"),
        "job.yaml:3: metadata.name: 2024 is not text; write it in quotes: '2024'",
    ),
    "no spec": (
        SMALLEST.partition("spec:")[0],
        "job.yaml:1: spec: this field is missing; add 'spec: {dataset: {source: ./music}, output: ./out}'",
    ),
    "nothing in spec": (
        SMALLEST.partition("spec:")[0] + "spec:",
        "job.yaml:4: spec: nothing is written here; write 'spec: {dataset: {source: ./music}, output: ./out}'",
    ),
}
"""What is in the file, and the sentence."""


@pytest.mark.parametrize(("text", "sentence"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_job_is_told_what_where_and_what_instead(text: str, sentence: str) -> None:
    assert refusal(text) == sentence


SETTINGS = {
    "a value that does not fit": (
        "spec.training.steps=0",
        "--set spec.training.steps: 0 is too small; write at least 1",
    ),
    "a field that is not there": (
        "spec.training.stepz=5",
        "--set spec.training.stepz: there is no such field; did you mean steps?",
    ),
    "no value": ("spec.training.steps", "--set spec.training.steps: a setting has no value; write --set FIELD=VALUE"),
    "no field": ("=5", "--set =5: a setting has no value; write --set FIELD=VALUE"),
    "no name of a field": (
        "spec..steps=5",
        "--set spec..steps: this is not the name of a field; write spec.training.steps=100",
    ),
    "YAML that is none": ("spec.output={", "--set spec.output: { is not valid YAML; quote it"),
    "through a text": (
        "spec.output.url=x",
        "--set spec.output.url: spec.output has no fields; set spec.output as a whole",
    ),
    "an item that is not there": (
        "spec.evaluation.requests[1].key=Cmaj",
        (
            "--set spec.evaluation.requests[1].key: there is no item 1 in spec.evaluation.requests, which has 0; "
            "set spec.evaluation.requests as a whole, as in --set 'spec.evaluation.requests=[...]'"
        ),
    ),
}


@pytest.mark.parametrize(("setting", "sentence"), SETTINGS.values(), ids=SETTINGS)
def test_a_wrong_setting_is_told_by_its_own_name(setting: str, sentence: str) -> None:
    assert refusal(WITH_MODEL, setting) == sentence
