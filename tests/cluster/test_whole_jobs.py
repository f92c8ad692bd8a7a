"""Whole jobs on a real cluster of two nodes, by ``kubectl apply``: the samples, shortened.

Two Ray pods prepare, two pods on two nodes train, one evaluates, one reports, and one publishes to a real S3 server;
the operator runs in the cluster, from its image and under the rights that ship.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtj_trainer.families.symbolic import generate, load_model
from mtj_trainer.tokens import Conditions
from support import cluster as clusters
from support.applied_jobs import SHORT, ClusterJob, Namespace
from support.kubectl import REPOSITORY, KubectlError
from support.prometheus import Prometheus
from support.seaweedfs import BUCKET
from support.wrong_jobs import FAILED_AT_ONCE, WrongJob

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

STAGES = ["prepare", "train", "evaluate", "report", "publish"]
RANKS = ["0", "1"]


@pytest.fixture(scope="module")
def gpus(jobs: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What gives pods two GPUs to watch: the stand-in for the driver's library, as in the tests of the metrics."""
    folder = REPOSITORY / ".tools/cluster/nvml"
    folder.mkdir(parents=True, exist_ok=True)
    source = REPOSITORY / "tests/support/nvml/nvml.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)], check=True)
    with clusters.shared_folder(jobs.kubectl, "nvml", folder, "ReadOnlyMany"):
        claim = {"persistentVolumeClaim": {"claimName": "nvml", "readOnly": True}}
        jobs.template["volumes"].append({"name": "nvml", "mountPath": "/opt/nvml", **claim})
        jobs.template["env"].append({"name": "LD_LIBRARY_PATH", "value": "/opt/nvml"})
        yield


@pytest.fixture(scope="module")
def trained(jobs: Namespace, gpus: None, prometheus: Prometheus) -> ClusterJob:
    """The sample for a cluster, undisturbed from beginning to end."""
    job = jobs.apply("cluster.yaml", "chorales", SHORT)
    job.succeed()
    return job


def test_the_status_tells_what_was_done(trained: ClusterJob) -> None:
    status = trained.status
    assert [(row["name"], row["state"], row["attempt"]) for row in status["stages"]] == [
        (stage, "Succeeded", 1) for stage in STAGES
    ]
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "Succeeded": "True",
        "Reconciling": "False",
        "Stalled": "False",
        "GangScheduling": "True",
        "GPUsIdle": "False",
    }
    assert status["observedGeneration"] == trained.kubectl.get("mtj", trained.name)["metadata"]["generation"]
    assert (status["progress"]["step"], status["progress"]["of"], status["progress"]["percent"]) == (150, 150, "100%")
    assert status["progress"]["loss"] == pytest.approx(dict(trained.losses)[140], rel=0.3)
    assert status["checkpoint"]["step"] == 150
    assert status["evaluation"]["heldout.nll"] == pytest.approx(trained.figures["heldout.nll"])
    assert status["output"]["model"] == f"{trained.output}/model"


def test_kubectl_get_shows_it_in_a_line(trained: ClusterJob) -> None:
    head, line = trained.kubectl("get", "mtj", trained.name).strip().splitlines()
    assert head.split()[:5] == ["NAME", "STATE", "STAGE", "PROGRESS", "LOSS"]
    assert line.split()[:3] == [trained.name, "Succeeded", "100%"], "no stage is under way any more"


def test_two_pods_prepared_and_two_trained_on_two_nodes(trained: ClusterJob) -> None:
    assert len(trained.pods("prepare")) == 2
    assert {pod["spec"]["nodeName"] for pod in trained.pods("train")} == {"node1", "node2"}
    helper = next(pod for pod in trained.pods("prepare") if "-1-1-" in pod["metadata"]["name"])
    assert "files at a time here, too" in trained.kubectl("logs", helper["metadata"]["name"])


def test_the_story_is_told_in_events(trained: ClusterJob) -> None:
    events = trained.events()
    assert events.count("StageSucceeded") == len(STAGES)
    assert events.count("Succeeded") == 1
    assert not {"StageFailed", "Retrying", "Disrupted", "Failed"} & set(events)


def test_the_model_is_fetched_and_composes(trained: ClusterJob, tmp_path: Path) -> None:
    model, tokenizer = load_model(trained.storage.child("model"))
    (tokens,) = generate(model, tokenizer, [Conditions(key="Gmaj")], bars=2, seed=1)
    piece = tokenizer.decode(tokens, Conditions(key="Gmaj"))
    piece.dump_midi(str(tmp_path / "piece.mid"))
    assert (tmp_path / "piece.mid").stat().st_size > 100
    assert trained.figures["heldout.nll"] < trained.figures["baseline.untrained.nll"]


@pytest.mark.parametrize(
    "series",
    [
        "mtj_train_loss",
        "mtj_train_tokens_per_second",
        "mtj_cpu_utilization_ratio",
        "mtj_gpu_utilization_ratio",
        "mtj_gpu_memory_used_bytes",
    ],
)
def test_prometheus_has_seen_every_rank(trained: ClusterJob, prometheus: Prometheus, series: str) -> None:
    found = prometheus.query(f'last_over_time({series}{{namespace="{trained.kubectl.namespace}"}}[2h])')
    assert sorted({one["metric"]["rank"] for one in found}) == RANKS
    assert all(float(one["value"][1]) >= 0 for one in found)


def test_prometheus_has_seen_the_operator(trained: ClusterJob, prometheus: Prometheus) -> None:
    (leader,) = prometheus.query("last_over_time(mtj_operator_leader[2h]) == 1")[:1]
    assert leader["metric"]["namespace"] == "mtj-system"
    calls = prometheus.query("sum by (verb) (last_over_time(mtj_operator_api_calls_total[2h]))")
    assert {"create", "patch", "list"} <= {one["metric"]["verb"] for one in calls}


def test_deepspeed_trains_on_two_pods_with_zero_2(jobs: Namespace, trained: ClusterJob) -> None:
    job = jobs.apply("cluster-deepspeed.yaml", "deepspeed", SHORT, {"training": {"deepspeed": {"zeroStage": 2}}})
    job.succeed()
    assert {pod["spec"]["nodeName"] for pod in job.pods("train")} == {"node1", "node2"}
    assert job.figures["prepare.units.made"] == 0, "the data was prepared by the job before it"
    assert [step for step, _ in job.losses] == [step for step, _ in trained.losses]
    assert [loss for _, loss in job.losses] == pytest.approx([loss for _, loss in trained.losses], rel=1e-3)
    model, _ = load_model(job.storage.child("model"))
    assert sum(parameter.numel() for parameter in model.parameters()) == trained.figures["model.parameters"]


def test_a_suspended_job_goes_on_from_its_checkpoint_and_a_lost_pod_costs_no_retry(
    jobs: Namespace, trained: ClusterJob
) -> None:
    job = jobs.apply("cluster.yaml", "disturbed", SHORT)
    job.until(lambda: job.status.get("progress", {}).get("step", 0) >= 20)
    job.suspend(True)
    job.until(lambda: job.status["state"] == "Suspended")
    assert [pod for pod in job.pods() if pod["status"]["phase"] in ("Pending", "Running")] == []
    saved = job.status["checkpoint"]
    assert 20 <= saved["step"] < 150
    assert any(
        entry.key.startswith("checkpoints/") and entry.key.endswith("manifest.json") for entry in job.storage.list()
    )

    job.suspend(False)
    job.until(lambda: job.status["state"] == "Running" and job.status["checkpoint"]["step"] > saved["step"])
    lost = next(pod for pod in job.pods("train") if pod["status"]["phase"] == "Running")
    job.kubectl("delete", "pod", lost["metadata"]["name"], "--grace-period=0", "--force")
    job.succeed()

    row = job.stage("train")
    assert (row["attempt"], row["retries"], row["disruptions"]) == (3, 0, 1), row
    assert job.losses == trained.losses
    assert job.figures["heldout.nll"] == trained.figures["heldout.nll"]
    assert {"Suspended", "Resumed", "Disrupted"} <= set(job.events())


def test_deleting_a_job_deletes_all_that_it_made_and_keeps_its_output(jobs: Namespace, trained: ClusterJob) -> None:
    job = jobs.apply("cluster.yaml", "short-lived", SHORT)
    job.until(lambda: len(job.pods("prepare")) == 2)
    job.kubectl("delete", "mtj", job.name, "--timeout=60s")
    of_job = f"training.discomusica.io/job={job.name}"

    def is_gone() -> bool:
        return not any(job.kubectl.list(kind, of_job) for kind in ("jobs", "pods", "services", "configmaps"))

    job.until(is_gone, 180)
    assert trained.storage.read("model/README.md")


@pytest.mark.parametrize("wrong", FAILED_AT_ONCE, ids=lambda wrong: wrong.name)
def test_a_wrong_job_fails_at_once_with_what_to_write(jobs: Namespace, wrong: WrongJob) -> None:
    job = jobs.apply_text(wrong.at(f"s3://{BUCKET}/{jobs.kubectl.namespace}/{wrong.resource}"))
    job.until(lambda: job.status.get("state") == "Failed")
    assert wrong.sentence in job.condition("Succeeded")["message"], job.told()
    assert job.condition("Stalled")["status"] == "True"
    assert (job.status.get("stage", "") if wrong.stage else "") == wrong.stage
    assert all(row["attempt"] <= 1 and row["retries"] == 0 for row in job.status.get("stages", []))
    job.kubectl("delete", "mtj", job.name)


def test_an_edit_of_what_is_trained_is_refused_and_changes_nothing(trained: ClusterJob) -> None:
    before = trained.status
    patch = '{"spec": {"training": {"steps": 151}}}'
    with pytest.raises(KubectlError, match="fixed once"):
        trained.kubectl("patch", "mtj", trained.name, "--type=merge", f"--patch={patch}")
    assert trained.status == before
