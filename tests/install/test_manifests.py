"""Kustomize installs what Helm installs: the bases are made of the chart, and every folder builds and is taken."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from support.helm import Object, of_kind, program, rendered
from support.kubectl import REPOSITORY, Kubectl
from support.would_apply import would_apply

pytestmark = pytest.mark.usefixtures("helm")

MANIFESTS = REPOSITORY / "manifests"
FOLDERS = sorted(path.parent for path in MANIFESTS.glob("**/kustomization.yaml"))
by_folder = pytest.mark.parametrize("folder", FOLDERS, ids=[str(path.relative_to(MANIFESTS)) for path in FOLDERS])

OF_HELM = ("app.kubernetes.io/managed-by", "helm.sh/chart")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make manifests`` writes of the chart."""
    program()
    folder = tmp_path_factory.mktemp("manifests")
    subprocess.run([REPOSITORY / "tools/helm/manifests", folder], check=True)
    return folder


def test_what_is_made_of_the_chart_is_current(made: Path) -> None:
    files = [path.relative_to(made) for path in made.glob("**/*.yaml")]
    assert len(files) == 3
    for file in files:
        assert (MANIFESTS / file).read_text() == (made / file).read_text(), f"run make manifests for {file}"


def built(kubectl: Kubectl, folder: Path) -> list[Object]:
    """The objects of a folder."""
    return list(yaml.safe_load_all(kubectl("kustomize", str(folder))))


def named(objects: list[Object]) -> dict[tuple[str, str], Object]:
    """By kind and name, without what says who installed them."""
    for one in objects:
        for label in OF_HELM:
            one["metadata"].get("labels", {}).pop(label, None)
        one["metadata"].pop("annotations", None) if one["kind"] == "CustomResourceDefinition" else None
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def test_kustomize_and_helm_install_the_same(kubectl: Kubectl) -> None:
    by_kustomize = named(built(kubectl, MANIFESTS / "operator"))
    del by_kustomize["Namespace", "mtj-system"]  # Helm's --create-namespace makes it
    assert by_kustomize == named(rendered())


@by_folder
def test_the_api_server_takes_it(folder: Path, kubectl: Kubectl) -> None:
    would_apply(kubectl, built(kubectl, folder))


def test_the_queue_of_a_namespace_is_taken(kubectl: Kubectl) -> None:
    file = MANIFESTS / "overlays/kueue/local-queue.yaml"
    kubectl.within("music")("apply", "--dry-run=server", f"--filename={file}")


def test_a_small_cluster_gets_one_replica_that_a_drain_may_take(kubectl: Kubectl) -> None:
    objects = built(kubectl, MANIFESTS / "overlays/small")
    (deployment,) = of_kind(objects, "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert not of_kind(objects, "PodDisruptionBudget")


def test_with_kueue_jobs_wait_in_a_queue_by_default(kubectl: Kubectl) -> None:
    objects = built(kubectl, MANIFESTS / "overlays/kueue")
    (config,), (deployment,) = of_kind(objects, "ConfigMap"), of_kind(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert yaml.safe_load(config["data"]["job-defaults.yaml"]) == {"queue": "music"}
    assert pod["volumes"][0]["configMap"]["name"] == config["metadata"]["name"]
    assert pod["containers"][0]["args"][-1] == "--job-defaults=/etc/mtj-operator/job-defaults.yaml"


def test_production_pins_its_images_and_closes_its_network(kubectl: Kubectl) -> None:
    objects = built(kubectl, MANIFESTS / "overlays/production")
    (deployment,) = of_kind(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"].startswith("registry.example.com/mtj-operator:")
    assert pod["containers"][0]["args"][0].startswith("--trainer-image=registry.example.com/mtj-trainer:")
    assert {one["metadata"]["name"] for one in of_kind(objects, "PriorityClass")} == {pod["priorityClassName"]}
    (policy,) = of_kind(objects, "NetworkPolicy")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def test_a_folder_can_be_copied_and_named_anew(kubectl: Kubectl, tmp_path: Path) -> None:
    """As the guide has it: the namespace of the team is said in one place."""
    folder = tmp_path / "drums"
    shutil.copytree(MANIFESTS / "tenant", folder)
    file = folder / "kustomization.yaml"
    file.write_text(file.read_text().replace("namespace: music", "namespace: drums"))
    objects = built(kubectl, folder)
    assert {one["metadata"].get("namespace", one["metadata"]["name"]) for one in objects} == {"drums"}
