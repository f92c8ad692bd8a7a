"""What keeps the operator from beginning is said in one sentence, and it may be stopped before it has begun."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

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


@contextmanager
def answering(status: int) -> Iterator[int]:
    """The port of a server that gives this one answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("status", [429, 503])
def test_an_api_server_that_is_busy_is_waited_for(tmp_path: Path, status: int) -> None:
    with (
        answering(status) as port,
        running(configured(tmp_path, port), tmp_path, quick=True) as operator,
    ):
        eventually(lambda: operator.says(f"(the API server answered {status}); tries again") or operator.has_ended())
        assert operator.terminate() == 0


def test_an_api_server_that_refuses_to_say_what_it_serves_is_told_of_in_a_sentence(tmp_path: Path) -> None:
    with (
        answering(403) as port,
        running(configured(tmp_path, port), tmp_path, quick=True) as operator,
    ):
        assert operator.wait() == 65
    (said,) = operator.log.read_text().splitlines()
    assert "does not say what it serves" in said
    assert said.endswith("check the kubeconfig and its rights")


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
