"""``mtj logs`` as a user types it, and what it says where there is nothing to read. Reading itself: ``tests/logs``."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mtj_api import JobError
from mtj_operator.cli.logs import seconds
from mtj_operator.cli.main import main
from support import kubernetes_api
from support.jobs import document
from support.kubernetes_api import ApiServer
from support.ports import free_ports
from support.verdict import CRD

Configured = Callable[[Path], None]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Configured:
    """Makes a file the kubeconfig of this process, as KUBECONFIG does when a command starts."""

    def set_to(path: Path) -> None:
        monkeypatch.setenv("KUBECONFIG", str(path))
        monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))

    return set_to


@pytest.mark.parametrize(("written", "found"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_a_length_of_time_has_a_unit(written: str, found: int) -> None:
    assert seconds(written) == found


@pytest.mark.parametrize("written", ["", "m", "-5m", "1w", "5 m"])
def test_anything_else_is_no_length_of_time(written: str) -> None:
    with pytest.raises(JobError, match="is no length of time; write one such as 90s, 10m or 2h"):
        seconds(written)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--stage", "training"],
            "--stage: there is no stage training; write prepare, train, evaluate, report or publish",
        ),
        (["--attempt", "0"], "--attempt: 0 is no attempt; write 1, 2 and so on, or all"),
        (["--attempt", "last"], "--attempt: last is no attempt; write 1, 2 and so on, or all"),
        (["--rank", "-1"], "--rank: -1 is less than nothing; write 0 or more"),
        (["--tail", "-1"], "--tail: -1 is less than nothing; write 0 or more"),
        (["--since", "yesterday"], "--since: yesterday is no length of time; write one such as 90s, 10m or 2h"),
    ],
)
def test_a_wrong_argument_is_told_before_a_cluster_is_asked(
    arguments: list[str], sentence: str, configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(tmp_path / "no-such-file")
    assert main(["logs", "chorales", *arguments]) == 65
    assert capsys.readouterr().err.strip() == sentence


def test_without_what_speaks_to_a_cluster_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes.aio", None)
    monkeypatch.delitem(sys.modules, "mtj_operator.control.connect", raising=False)
    assert main(["logs", "chorales"]) == 65
    assert capsys.readouterr().err.strip() == (
        "what speaks to a cluster is not installed (kubernetes.aio); write pip install 'music-training-job[operator]'"
    )


def test_without_a_kubeconfig_it_says_so(
    configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(tmp_path / "no-such-file")
    assert main(["logs", "chorales"]) == 65
    assert capsys.readouterr().err.strip() == "no cluster is configured; name a kubeconfig in KUBECONFIG"


def test_a_cluster_that_does_not_answer_is_named(
    api_server: ApiServer, configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    config = api_server.kubeconfig.read_text().replace(api_server.url, f"https://127.0.0.1:{port}")
    (tmp_path / "config").write_text(config)
    configured(tmp_path / "config")
    assert main(["logs", "chorales"]) == 65
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"https://127.0.0.1:{port} cannot be reached (")
    assert said.endswith("; check the kubeconfig and the network")


def test_a_job_that_is_not_there_is_looked_for(
    api_server: ApiServer, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace = f"logs-{uuid.uuid4().hex[:8]}"
    api_server.kubectl.apply(CRD)
    api_server.kubectl("create", "namespace", namespace)
    configured(api_server.kubeconfig)
    assert main(["logs", "chorale", "-n", namespace]) == 65
    there_is_none = f"namespace {namespace}: there is no MusicTrainingJob chorale; "
    assert capsys.readouterr().err.strip() == f"{there_is_none}name another with -n"
    api_server.kubectl.within(namespace).apply(document())
    assert main(["logs", "chorale", "-n", namespace]) == 65
    assert capsys.readouterr().err.strip() == f"{there_is_none}did you mean chorales?"
    assert main(["logs", "other", "-n", namespace]) == 65
    assert capsys.readouterr().err.strip().endswith("there is no MusicTrainingJob other; there is chorales")


def test_who_may_not_read_is_told_what_to_ask_for(
    api_server: ApiServer, configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api_server.kubectl("create", "serviceaccount", name := f"reader-{uuid.uuid4().hex[:8]}")
    token = api_server.kubectl("create", "token", name).strip()
    configured(api_server.write_kubeconfig(tmp_path / "config", token))
    assert main(["logs", "chorales"]) == 65
    said = capsys.readouterr().err.strip()
    assert said.startswith("namespace default: you may not read this: ")
    assert said.endswith("; ask for the rights to get musictrainingjobs, to list pods, and to get pods/log")
    configured(api_server.write_kubeconfig(tmp_path / "config", "unknown"))
    assert main(["logs", "chorales"]) == 65
    assert capsys.readouterr().err.strip() == (
        "the cluster does not know you; log in again, or name another kubeconfig"
    )


@pytest.mark.slow
def test_a_cluster_that_does_not_know_jobs_is_to_be_taught(
    tmp_path: Path, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    with kubernetes_api.running(tmp_path / "server") as server:
        configured(server.kubeconfig)
        assert main(["logs", "chorales"]) == 65
    assert capsys.readouterr().err.strip() == (
        "the cluster knows no MusicTrainingJob; write 'mtj crd | kubectl apply -f -' once"
    )
