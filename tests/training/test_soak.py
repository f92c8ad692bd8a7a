"""A hundred random faults in a row, on one training of two machines: it is finished all the same, and nothing is left.

``make soak`` runs this. The faults and their moments follow from a seed, which the test prints and ``MTJ_SOAK_SEED``
sets; ``MTJ_SOAK`` sets their number.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from support.gang_of_two import GangOfTwo, gang
from support.machines import lose

pytestmark = [pytest.mark.on_demand, pytest.mark.slow, pytest.mark.timeout(0)]

FAULTS = int(os.environ.get("MTJ_SOAK", "100"))
SEED = int(os.environ.get("MTJ_SOAK_SEED", "1"))
EVERY = 5
"""Steps between checkpoints."""
APART = 25
"""Steps between faults, on average."""
SETTINGS = {"steps": APART * (FAULTS + 2), "rate": 0.001, "checkpoint": EVERY, "validate": 200, "hang_seconds": 10}

Machines = list[subprocess.Popen[bytes]]
Fault = Callable[[GangOfTwo, Machines, random.Random], None]


def kill_a_process(job: GangOfTwo, machines: Machines, chance: random.Random) -> None:
    _signal_one(machines, chance, signal.SIGKILL)


def stop_a_process(job: GangOfTwo, machines: Machines, chance: random.Random) -> None:
    """It neither works nor ends, and the gang has to notice."""
    _signal_one(machines, chance, signal.SIGSTOP)


def lose_a_machine(job: GangOfTwo, machines: Machines, chance: random.Random) -> None:
    lose(chance.choice(machines))


def lose_both_machines(job: GangOfTwo, machines: Machines, chance: random.Random) -> None:
    for machine in machines:
        lose(machine)


def preempt_a_machine(job: GangOfTwo, machines: Machines, chance: random.Random) -> None:
    chance.choice(machines).send_signal(signal.SIGTERM)


def preempt_both_and_lose_one(job: GangOfTwo, machines: Machines, chance: random.Random) -> None:
    """A grace period that is too short."""
    for machine in machines:
        machine.send_signal(signal.SIGTERM)
    time.sleep(chance.uniform(0, 0.5))
    lose(chance.choice(machines))


def damage_the_newest_checkpoint(job: GangOfTwo, machines: Machines, chance: random.Random) -> None:
    lose_both_machines(job, machines, chance)
    path = _file_of_the_newest(job, chance)
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(content))


def lose_a_file_of_the_newest_checkpoint(job: GangOfTwo, machines: Machines, chance: random.Random) -> None:
    lose_both_machines(job, machines, chance)
    _file_of_the_newest(job, chance).unlink()


KINDS: tuple[Fault, ...] = (
    kill_a_process,
    stop_a_process,
    lose_a_machine,
    lose_both_machines,
    preempt_a_machine,
    preempt_both_and_lose_one,
    damage_the_newest_checkpoint,
    lose_a_file_of_the_newest_checkpoint,
)


def test_random_faults_change_nothing_and_leave_nothing(machines: ExitStack, tmp_path: Path, data: str) -> None:
    undisturbed = gang(machines, tmp_path / "undisturbed", data, **SETTINGS)
    undisturbed.run()
    job = gang(machines, tmp_path / "disturbed", data, **SETTINGS)
    chance = random.Random(SEED)
    for number in range(1, FAULTS + 1):
        both = job.start()
        fault, at = chance.choice(KINDS), APART * number + chance.randrange(-10, 10)
        _until(job, both, at)
        fault(job, both, chance)
        for machine in both:
            machine.wait(900)
        print(f"seed {SEED}, fault {number}: {fault.__name__} at step {at}; {job.complete}", flush=True)
        assert "Traceback" not in job.printed, job.printed
    job.run()
    assert job.losses == undisturbed.losses
    assert job.best == undisturbed.best
    assert job.files == undisturbed.files
    assert [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE] == []


def _until(job: GangOfTwo, machines: Machines, step: int) -> None:
    """Return when a checkpoint of this step or a later one is complete."""
    deadline = time.monotonic() + 900
    while max(job.complete, default=0) < step:
        assert all(machine.poll() is None for machine in machines), job.printed
        assert time.monotonic() < deadline, job.printed
        time.sleep(0.02)


def _signal_one(machines: Machines, chance: random.Random, number: int) -> None:
    launcher = chance.choice(machines)
    with suppress(psutil.NoSuchProcess):
        chance.choice(psutil.Process(launcher.pid).children()).send_signal(number)


def _file_of_the_newest(job: GangOfTwo, chance: random.Random) -> Path:
    return chance.choice(job.files_of(max(job.complete)))
