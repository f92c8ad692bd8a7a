"""The file of ``--job-defaults`` is checked as the operator starts, with the sentence that a job would get."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtj_api import JobError
from mtj_api.contract import ExitCode
from mtj_api.spec import Scheduling
from mtj_operator.control.job_defaults import read
from mtj_operator.control.main import main

RIGHT = """\
nodeSelector: {pool: gpu}
tolerations: [{key: nvidia.com/gpu, operator: Exists}]
resources: {train: {memory: 16Gi}}
podTemplate: {imagePullSecrets: [registry]}
"""

# what is written and what is said of it
WRONG: tuple[tuple[str, str], ...] = (
    ("[a]", "the defaults of jobs are not a mapping; write fields of a job's spec.scheduling: resources, nodeSelector"),
    ("a: [", "not valid YAML"),
    ("suspend: true", "suspend: there are no defaults for this; write fields of a job's spec.scheduling: resources,"),
    ("image: a:1", "image: there are no defaults for this"),
    ("resources: {train: {gpus: 1}}", "resources.train.gpus: a job itself says how many GPUs it trains on; leave it"),
    ("resources: {train: {memory: lots}}", 'spec.scheduling.resources.train.memory: "lots" has the wrong form; write'),
    ("resources: {train: {memory: 1500m}}", "resources.train.memory: 1500m is no whole number of bytes; write 1500Mi"),
    ("resources: {evaluate: {memory: 2Pi}}", "resources.evaluate.memory: 2Pi is more memory than any node has; write"),
    ("priorityClassName: system-node-critical", "the priority system-node-critical is for what a cluster itself runs"),
    ("tolerations: [{value: a}]", "a toleration without a key is for every taint; write operator: Exists, or the key"),
    ("nodeSelecter: {a: b}", "nodeSelecter: there are no defaults for this"),
    ("podTemplate: {env: [{name: HOME, value: /a}]}", "the variable HOME is the operator's own; leave it out"),
    ("podTemplate: {labels: {job-name: a}}", "job-name is how Kubernetes, Kueue or the operator itself knows a pod"),
)


def test_what_is_right_is_read(tmp_path: Path) -> None:
    file = tmp_path / "defaults.yaml"
    file.write_text(RIGHT)
    assert read(file) == Scheduling.model_validate(
        {
            "nodeSelector": {"pool": "gpu"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "resources": {"train": {"memory": "16Gi"}},
            "podTemplate": {"imagePullSecrets": ["registry"]},
        }
    )


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n"])
def test_an_empty_file_says_nothing(text: str, tmp_path: Path) -> None:
    file = tmp_path / "defaults.yaml"
    file.write_text(text)
    assert read(file) == Scheduling()


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "defaults.yaml"
    file.write_text(text)
    with pytest.raises(JobError) as refused:
        read(file)
    assert str(refused.value).startswith(str(file))
    assert sentence in str(refused.value)


def test_a_file_that_is_not_there_ends_the_operator_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--trainer-image=a", f"--job-defaults={tmp_path}/none.yaml"]) == ExitCode.WRONG_JOB
    assert "cannot read the defaults of jobs" in capsys.readouterr().err
