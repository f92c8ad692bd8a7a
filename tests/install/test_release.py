"""A release from install to end, by real Helm on a real API server: what it brings, changes and leaves behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from mtj_api.contract import GROUP, PLURAL
from support.helm import CHART, NAMESPACE, RELEASE, Object, helm
from support.installed import documented, own
from support.kubectl import Kubectl
from support.operated_jobs import document
from support.witness import eventually

pytestmark = pytest.mark.usefixtures("helm")

DEFINITION = f"{PLURAL}.{GROUP}"


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The chart as it might have been: its definition has a column less."""
    chart = tmp_path / "mtj-operator"
    shutil.copytree(CHART, chart)
    file = chart / "files/crd.yaml"
    definition = yaml.safe_load(file.read_text())
    del definition["spec"]["versions"][0]["additionalPrinterColumns"][-1]
    file.write_text(yaml.safe_dump(definition, sort_keys=False))
    return chart


def columns(kubectl: Kubectl) -> list[str]:
    """What ``kubectl get mtj -o wide`` has."""
    version: Object = kubectl.get("crd", DEFINITION)["spec"]["versions"][0]
    return [column["name"] for column in version["additionalPrinterColumns"]]


def flags(kubectl: Kubectl) -> list[str]:
    """Of the operator."""
    pod: Object = kubectl.get("deployment", "mtj-operator")["spec"]["template"]["spec"]
    arguments: list[str] = pod["containers"][0]["args"]
    return arguments


def test_a_release_is_installed_upgraded_rolled_back_and_uninstalled(kubectl: Kubectl, older: Path) -> None:
    def run(*words: str, values: Object | None = None) -> None:
        helm(*words, f"--namespace={NAMESPACE}", values=values, kubeconfig=kubectl.kubeconfig)

    run("install", RELEASE, str(older), "--take-ownership", "--force-conflicts")  # others brought the definition
    assert own(kubectl) == documented()
    assert columns(kubectl)[-1] == "Output"

    music = kubectl.within("music")
    music.apply(document("lasting"))
    lease = kubectl.get("lease", "mtj-operator")["metadata"]["uid"]
    held = json.dumps({"spec": {"holderIdentity": "one of the replicas"}})
    kubectl("patch", "lease", "mtj-operator", "--type=merge", f"--patch={held}")

    run("upgrade", RELEASE, str(CHART), values={"operator": {"verbose": True}})
    assert columns(kubectl)[-1] == "Message", "the definition comes along"
    assert "--verbose" in flags(kubectl)
    assert kubectl.get("lease", "mtj-operator")["spec"]["holderIdentity"] == "one of the replicas"
    assert own(kubectl) == documented()

    run("rollback", RELEASE)
    assert columns(kubectl)[-1] == "Output"
    assert "--verbose" not in flags(kubectl)
    assert kubectl.get("lease", "mtj-operator")["metadata"]["uid"] == lease
    assert kubectl.get("lease", "mtj-operator")["spec"]["holderIdentity"] == "one of the replicas"

    run("uninstall", RELEASE)
    eventually(lambda: not own(kubectl), 60)
    assert not kubectl("get", "clusterrole,clusterrolebinding", "--selector=app.kubernetes.io/name=mtj-operator")
    assert music.get("mtj", "lasting")["metadata"]["generation"] == 1
    music("delete", "mtj", "lasting", "--timeout=30s")
    kubectl("apply", "--server-side", "--force-conflicts", f"--filename={CHART}/files/crd.yaml")
