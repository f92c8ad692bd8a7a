"""What keeps the operator from beginning is said in one sentence, and it may be stopped before it has begun."""

from __future__ import annotations

import socket
from pathlib import Path

from support.operator_process import running
from support.ports import free_ports
from support.witness import eventually


def configured(folder: Path, port: int) -> Path:
    """A kubeconfig for an API server on this port."""
    path = folder / "config"
    path.write_text(
        f"""
apiVersion: v1
kind: Config
clusters: [{{name: a, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: a, user: {{}}}}]
contexts: [{{name: a, context: {{cluster: a, user: a}}}}]
current-context: a
"""
    )
    return path


def test_an_api_server_that_cannot_be_reached_is_named_and_waited_for(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with running(configured(tmp_path, port), tmp_path, quick=True) as operator:
        eventually(lambda: operator.says("cannot be reached"))
        assert operator.terminate() == 0
    said = operator.log.read_text().splitlines()[0]
    assert f" http://127.0.0.1:{port} cannot be reached (" in said
    assert said.endswith("; check the kubeconfig and the network; tries again")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with running(configured(tmp_path, port), tmp_path, f"--port={port}", quick=True) as operator:
            assert operator.wait() == 65
    (said,) = operator.log.read_text().splitlines()
    assert said.startswith(f"--port: {port} cannot be listened on (")


def test_it_may_be_stopped_while_the_api_server_does_not_answer(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        running(configured(tmp_path, silent.getsockname()[1]), tmp_path, quick=True) as operator,
    ):
        eventually(lambda: operator.get("/healthz")[0] != 0)
        assert operator.terminate() == 0
    assert operator.log.read_text().strip().endswith("stopped")
