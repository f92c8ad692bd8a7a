"""Logs of a job's pods through a real API server: all of them, each line once, whatever breaks off."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from mtj_api.contract import ATTEMPT_LABEL, JOB_LABEL, STAGE_LABEL
from mtj_operator.cli.main import main
from mtj_operator.control.snapshots import Raw
from mtj_operator.logs import Choice, Cluster, Reading, Unreadable, read_logs
from mtj_operator.plan.observed import PodSnapshot
from support import kubelet as kubelets
from support.jobs import document
from support.kubectl import Kubectl
from support.kubelet import NODE, Kubelet
from support.kubernetes_api import ApiServer
from support.verdict import CRD
from support.witness import eventually

pytestmark = pytest.mark.slow

NOW = "2026-01-31T12:00:00Z"


class Scene:
    """A job in a namespace, its pods, and what was read of them.

    Attributes:
        lines: with the prefix that a user sees, without colour.
        remarks: that are no part of a log.
    """

    def __init__(self, kubectl: Kubectl, kubelet: Kubelet) -> None:
        self.kubectl = kubectl
        self.kubelet = kubelet
        self.lines: list[str] = []
        self.remarks: list[str] = []
        self._thread = threading.Thread()
        self._outcome: list[bool | None] = []
        self._failure: list[Exception] = []

    def pod(self, name: str, *lines: tuple[int, str], ended: bool = False) -> None:
        """A pod, named as ``train-1-0`` is, whose container runs or has ended."""
        stage, attempt, index = name.split("-")
        labels = {JOB_LABEL: "chorales", STAGE_LABEL: stage, ATTEMPT_LABEL: attempt}
        labels["batch.kubernetes.io/job-completion-index"] = index
        container = {"name": "stage", "image": "none"}
        self.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": labels},
                "spec": {"nodeName": NODE, "automountServiceAccountToken": False, "containers": [container]},
            }
        )
        self.kubelet.log(name).lines += lines
        self.has_state(name, ended=ended)

    def has_state(self, name: str, *, ended: bool) -> None:
        """The kubelet says how the container is."""
        self.kubelet.log(name).ended = ended
        state = {"terminated": {"exitCode": 0, "startedAt": NOW}} if ended else {"running": {"startedAt": NOW}}
        one = {"name": "stage", "image": "none", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        self._patch("pod", name, {"phase": "Succeeded" if ended else "Running", "containerStatuses": [one]})

    def job_says(self, state: str, succeeded: str, message: str = "") -> None:
        """The operator says how the job is."""
        condition = {"type": "Succeeded", "status": succeeded, "reason": state, "lastTransitionTime": NOW}
        conditions = [{**condition, "observedGeneration": 1}]
        self._patch("mtj", "chorales", {"state": state, "message": message, "conditions": conditions})

    def read(self, choice: Choice | None = None, **reading: Any) -> bool | None:
        """Read the logs to their end."""
        self.begin(choice, **reading)
        return self.outcome()

    def begin(self, choice: Choice | None = None, **reading: Any) -> None:
        """Begin to read them."""
        wanted = Reading(choice or Choice(), pause=0.05, **reading)
        self._thread = threading.Thread(target=self._run, args=(wanted,), daemon=True)
        self._thread.start()

    def has_ended(self) -> bool:
        """Whether they are read to their end."""
        return not self._thread.is_alive()

    def outcome(self) -> bool | None:
        """How it ended."""
        self._thread.join()
        for error in self._failure:
            raise error
        (outcome,) = self._outcome
        return outcome

    def _run(self, reading: Reading) -> None:
        try:
            self._outcome.append(asyncio.run(self._read(reading)))
        except Exception as error:  # told to the test's own thread
            self._failure.append(error)

    async def _read(self, reading: Reading) -> bool | None:
        found = Configuration()
        await load_kube_config(config_file=str(self.kubectl.kubeconfig), client_configuration=found)
        cluster = Cluster(found, self.kubectl.namespace, "chorales")
        try:
            return await read_logs(cluster, reading, self._write, self.remarks.append)
        except Unreadable as error:
            raise await cluster.explained(error) from None
        finally:
            await cluster.close()

    def _write(self, pod: PodSnapshot, lines: Sequence[str]) -> None:
        self.lines += [f"{pod.stage}[{pod.index}] {line}" for line in lines]

    def _patch(self, kind: str, name: str, status: dict[str, Any]) -> None:
        patch = json.dumps({"status": status})
        self.kubectl("patch", kind, name, "--subresource=status", "--type=merge", f"--patch={patch}")


@pytest.fixture(scope="module")
def kubelet(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    """The node that all pods are on."""
    api_server.kubectl.apply(CRD)
    api_server.kubectl.wait("crd/musictrainingjobs.training.discomusica.io", "condition=Established")
    with kubelets.running(tmp_path_factory.mktemp("kubelet"), api_server.kubectl) as found:
        yield found


@pytest.fixture
def scene(api_server: ApiServer, kubelet: Kubelet) -> Scene:
    """A job without pods."""
    name = f"logs-{uuid.uuid4().hex[:8]}"
    api_server.kubectl("create", "namespace", name)
    kubectl = api_server.kubectl.within(name)
    eventually(lambda: bool(kubectl.list("serviceaccounts")))
    kubectl.apply(document(model={}))
    kubelet.logs.clear()
    kubelet.requests.clear()
    return Scene(kubectl, kubelet)


def test_finished_stages_are_read_in_order_and_their_pods_by_time(scene: Scene) -> None:
    scene.pod("train-1-1", (1, "b"), (3, "d"), ended=True)
    scene.pod("train-1-0", (0, "a"), (2, "c"), ended=True)
    scene.pod("prepare-1-0", (9, "prepared"), ended=True)
    assert scene.read() is None
    assert scene.lines == ["prepare[0] prepared", "train[0] a", "train[1] b", "train[0] c", "train[1] d"]


def test_a_job_without_pods_says_why(scene: Scene) -> None:
    scene.job_says("Pending", "Unknown", "no node has 4 GPUs")
    assert scene.read() is None
    assert (scene.lines, scene.remarks) == ([], ["Pending: no node has 4 GPUs"])


def test_the_last_lines_alone(scene: Scene) -> None:
    scene.pod("train-1-0", *[(second, f"step {second}") for second in range(9)], ended=True)
    scene.read(tail=2)
    assert scene.lines == ["train[0] step 7", "train[0] step 8"]


def test_it_follows_from_stage_to_stage_until_the_job_has_succeeded(scene: Scene) -> None:
    scene.pod("prepare-1-0", (0, "preparing"))
    scene.begin(follow=True)
    eventually(lambda: scene.lines == ["prepare[0] preparing"])
    scene.kubelet.log("prepare-1-0").lines.append((1, "prepared"))
    scene.has_state("prepare-1-0", ended=True)
    scene.pod("train-1-0", (2, "training"))
    eventually(lambda: "train[0] training" in scene.lines)
    scene.kubelet.log("train-1-0").lines.append((3, "trained"))
    scene.has_state("train-1-0", ended=True)
    scene.job_says("Succeeded", "True", "all is done")
    assert scene.outcome() is True
    assert scene.lines == ["prepare[0] preparing", "prepare[0] prepared", "train[0] training", "train[0] trained"]
    assert scene.remarks[-1] == "Succeeded: all is done"


def test_it_follows_across_a_restart_to_the_failure(scene: Scene) -> None:
    scene.pod("train-1-0", (0, "crashed"))
    scene.begin(follow=True)
    eventually(lambda: scene.lines == ["train[0] crashed"])
    scene.has_state("train-1-0", ended=True)
    scene.pod("train-2-0", (1, "crashed again"), ended=True)
    scene.job_says("Failed", "False", "train: it crashed twice")
    assert scene.outcome() is False
    assert scene.lines == ["train[0] crashed", "train[0] crashed again"]
    assert scene.remarks == ["train, attempt 2", "Failed: train: it crashed twice"]


@pytest.mark.parametrize("breaks", [[0], [3], [4, 3, 2, 3], [7, 1, 3, 9]])
def test_a_connection_that_breaks_off_loses_and_repeats_nothing(scene: Scene, breaks: list[int]) -> None:
    """Lines of one second are told apart by how many of them were had."""
    seconds = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3]
    scene.pod("train-1-0", *[(second, f"line {number}") for number, second in enumerate(seconds)], ended=True)
    scene.kubelet.log("train-1-0").breaks = breaks
    scene.job_says("Succeeded", "True")
    assert scene.read(follow=True) is True
    assert scene.lines == [f"train[0] line {number}" for number in range(10)]
    assert len(scene.kubelet.requests) >= len(breaks) + 2, "its end is asked for twice"


def test_a_running_log_that_breaks_off_is_followed_again(scene: Scene) -> None:
    scene.pod("train-1-0", (0, "a"), (0, "b"))
    scene.kubelet.log("train-1-0").breaks = [2]
    scene.begin(follow=True)
    eventually(lambda: len(scene.lines) == 2)
    scene.kubelet.log("train-1-0").lines += [(0, "c"), (1, "d")]
    eventually(lambda: len(scene.lines) == 4)
    scene.has_state("train-1-0", ended=True)
    scene.job_says("Succeeded", "True")
    assert scene.outcome() is True
    assert scene.lines == [f"train[0] {text}" for text in "abcd"]


@pytest.mark.parametrize(
    "lost", [(500, "the disk is broken"), (200, "unable to retrieve container logs for containerd://0")]
)
def test_a_log_that_cannot_be_read_is_given_up(scene: Scene, lost: tuple[int, str]) -> None:
    scene.pod("train-1-0", (0, "a"), ended=True)
    scene.pod("train-1-1", (0, "b"), ended=True)
    scene.kubelet.log("train-1-1").lost = lost
    scene.job_says("Failed", "False")
    assert scene.read(follow=True) is False
    assert scene.lines == ["train[0] a"]
    assert scene.remarks[0].startswith("the log of train[1] cannot be read to its end: ")
    assert lost[1] in scene.remarks[0]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again at once."""
    monkeypatch.setattr("mtj_operator.logs.follow._FIRST_PAUSE", 0.01)
    monkeypatch.setattr("mtj_operator.logs.follow._LONGEST_PAUSE", 0.01)


def test_a_log_that_could_not_be_read_while_its_pod_ran_is_given_up_when_that_has_ended(
    scene: Scene, hasty: None
) -> None:
    scene.pod("train-1-0", (0, "a"))
    scene.kubelet.log("train-1-0").lost = (500, "the disk is broken")
    scene.begin(follow=True)
    eventually(lambda: len(scene.kubelet.requests) > 20)
    scene.has_state("train-1-0", ended=True)
    scene.job_says("Failed", "False")
    eventually(scene.has_ended)
    assert scene.outcome() is False


def test_a_log_that_broke_off_without_a_line_while_its_pod_ran_ends_with_the_pod(scene: Scene, hasty: None) -> None:
    scene.pod("train-1-0", (0, "rotated away"))
    scene.kubelet.log("train-1-0").breaks = [0] * 100_000
    scene.begin(follow=True)
    eventually(lambda: len(scene.kubelet.requests) > 20)
    scene.kubelet.log("train-1-0").lines.clear()
    scene.has_state("train-1-0", ended=True)
    scene.job_says("Succeeded", "True")
    eventually(scene.has_ended)
    assert scene.outcome() is True
    assert scene.lines == []


def test_a_job_that_is_deleted_ends_it(scene: Scene) -> None:
    scene.job_says("Suspended", "Unknown", "suspended by its owner")
    scene.begin(follow=True)
    eventually(lambda: scene.remarks == ["Suspended: suspended by its owner"])
    scene.kubectl("delete", "mtj", "chorales")
    assert scene.outcome() is False
    assert scene.remarks[1:] == ["chorales was deleted"]


def test_what_is_not_wanted_is_not_read(scene: Scene) -> None:
    for name in ("prepare-1-0", "train-1-0", "train-2-0", "train-2-1"):
        scene.pod(name, (0, name), ended=True)
    scene.read(Choice(stage="train", rank=1))
    assert scene.lines == ["train[1] train-2-1"]
    assert all("/train-2-1/" in request for request in scene.kubelet.requests)


def test_a_status_that_a_newer_operator_wrote_is_read_as_far_as_it_can_be(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Cluster.job

    async def newer(cluster: Cluster) -> Raw:
        found = await known(cluster)
        return {**found, "status": {**found["status"], "state": "Archived"}}

    monkeypatch.setattr(Cluster, "job", newer)
    scene.pod("train-1-0", (1, "a"), ended=True)
    scene.job_says("Succeeded", "True")
    assert scene.read() is True
    assert scene.lines == ["train[0] a"]


def test_more_pods_than_connections_are_read_all_the_same(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtj_operator.logs.follow.CONNECTIONS", 2)
    for index in range(3):
        scene.pod(f"train-1-{index}", (index, "a"))
    scene.begin(follow=True)
    eventually(lambda: len(scene.lines) == 2)
    assert scene.remarks == ["2 logs are followed at a time; --rank shows that of another pod"]
    for index in range(3):
        scene.has_state(f"train-1-{index}", ended=True)
    scene.job_says("Succeeded", "True")
    assert scene.outcome() is True
    assert sorted(scene.lines) == [f"train[{index}] a" for index in range(3)]


def test_the_command_prints_each_line_with_its_stage_and_rank(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(scene.kubectl.kubeconfig)
    monkeypatch.setenv("KUBECONFIG", config)
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", config)
    scene.pod("train-2-0", (1, "step 1"), ended=True)
    scene.job_says("Failed", "False", "train: it crashed")
    command = ["logs", "chorales", "--namespace", scene.kubectl.namespace]
    assert main(command) == 0
    assert capsys.readouterr() == ("train[0] step 1\n", "-- train, attempt 2\n")
    assert main([*command, "--follow"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "-- Failed: train: it crashed"
