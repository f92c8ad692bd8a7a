"""What a launcher's signals do wherever they meet it."""

from __future__ import annotations

import signal
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mtj_api.contract import ExitCode
from mtj_trainer.train.gang import Gang
from mtj_trainer.train.launchers import Failure
from mtj_trainer.train.supervisor import STOPS, Supervisor
from mtj_trainer.train.watchdog import Watchdog


class Forgetful:
    """A launcher that gets a signal within the callback of a weak reference, in which Python drops exceptions."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def run(self) -> list[Failure]:
        thing = {0}
        reference = weakref.ref(thing, lambda _: signal.raise_signal(self._number))
        del thing
        assert reference() is None
        time.sleep(60)
        return []

    def processes(self) -> list[psutil.Process]:
        return []


@pytest.fixture(autouse=True)
def own_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (*STOPS, signal.SIGUSR1)}
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, ExitCode.INTERRUPTED), (signal.SIGUSR1, ExitCode.PEER_LOST)],
    ids=["a stop", "the loss of a machine"],
)
def test_a_signal_is_heeded_even_where_python_drops_what_its_handler_raises(
    number: signal.Signals, code: ExitCode, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gang = Gang("127.0.0.1", 0, 1, 0, "alone")
    supervisor = Supervisor(Forgetful(number), gang)
    watchdog = Watchdog(gang, tmp_path, 1, 0.0, "", supervisor.end_hung)
    assert supervisor.run(watchdog)[0] == code
    assert "Traceback" not in capfd.readouterr().err
