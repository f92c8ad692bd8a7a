"""``python -m mtj_trainer.train.launch``: the training processes of this machine, alone or as one of a gang.

    --standalone --nproc-per-node P -m MODULE ...
    --nnodes N --node-rank R --nproc-per-node P --master-addr HOST --master-port PORT --rdzv-id ID -m MODULE ...

With --launcher deepspeed, it is DeepSpeed's instead of torchrun. With --hang-seconds S, processes that do not go on for
so long are ended, and their stacks written below --stacks URL.
The exit status keeps the contract of ``mtj_api.contract``: it is that of the process that was the cause.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from mtj_api.contract import RENDEZVOUS_PORT, ExitCode
from mtj_trainer.ending import EarlyEnd
from mtj_trainer.stage import has_last_words, leave_sentence

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of this process's own is made in it
"""Where pulses lie if they can: what tells of a disk that hangs must not need it."""

QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}
"""Against a warning for each name that has no address of one kind, in every process."""


def launch(options: argparse.Namespace) -> int:
    """Run the processes to their end; the exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):  # what is process 1 of a container ignores them otherwise
        signal.signal(number, _leave)
    for name, value in QUIET.items():  # before torch is imported, which reads them then
        os.environ.setdefault(name, value)
    logging.disable(logging.ERROR)  # what torchrun tells of stops and failures: the processes' sentences say more
    from mtj_trainer.train.gang import LOOPBACK, Gang
    from mtj_trainer.train.launchers import DeepSpeedLauncher, Launcher, Torchrun
    from mtj_trainer.train.pulse import PULSES_ENV
    from mtj_trainer.train.supervisor import Supervisor
    from mtj_trainer.train.watchdog import Watchdog

    nodes = 1 if options.standalone else options.nnodes
    host, port = (LOOPBACK, 0) if options.standalone else (options.master_addr, options.master_port)
    gang = Gang(host, port, nodes, options.node_rank, options.rdzv_id, _say)
    launcher: Launcher
    if options.launcher == "deepspeed":
        launcher = DeepSpeedLauncher(options.command, options.nproc_per_node, gang)
    else:
        launcher = Torchrun(options.command, options.nproc_per_node, gang)
    supervisor = Supervisor(launcher, gang)
    with tempfile.TemporaryDirectory(
        prefix="mtj-pulses-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None
    ) as pulses:
        os.environ[PULSES_ENV] = pulses
        watched = (Path(pulses), options.nproc_per_node, options.hang_seconds, options.stacks)
        code, sentence = supervisor.run(Watchdog(gang, *watched, supervisor.end_hung))
    if sentence and not (code == ExitCode.PEER_LOST and has_last_words()):
        leave_sentence(sentence)
    return int(code)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments, by torchrun's names; wrong ones end the process with 2."""
    parser = argparse.ArgumentParser(prog="python -m mtj_trainer.train.launch", description=__doc__)
    parser.add_argument("--launcher", choices=("torchrun", "deepspeed"), default="torchrun")
    parser.add_argument("--standalone", action="store_true", help="this machine alone")
    parser.add_argument("--nnodes", type=int, default=1, help="machines")
    parser.add_argument("--nproc-per-node", type=int, default=1, help="processes on each")
    parser.add_argument("--node-rank", type=int, default=0, help="this machine's number, from 0")
    parser.add_argument("--master-addr", default="", help="the first machine's name or address")
    parser.add_argument("--master-port", type=int, default=RENDEZVOUS_PORT, help="where the gang meets there")
    parser.add_argument("--rdzv-id", default="train", help="tells this gang from others at the same place")
    parser.add_argument("--hang-seconds", type=float, default=0.0, help="after which a step hangs; 0 is never")
    parser.add_argument("--stacks", default="", help="URL below which the stacks of a hang are written")
    parser.add_argument("-m", dest="command", nargs=argparse.REMAINDER, required=True, help="module and arguments")
    options = parser.parse_args(arguments)
    if not options.standalone and not options.master_addr:
        parser.error("either --standalone or --master-addr is needed")
    if not options.standalone and not 0 <= options.node_rank < options.nnodes:
        parser.error(f"--node-rank must be from 0 to {options.nnodes - 1}, as --nnodes is {options.nnodes}")
    return options


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Told to stop before anything has begun."""
    os._exit(ExitCode.INTERRUPTED)


def _say(text: str) -> None:
    print(f"train     {text}", flush=True)


if __name__ == "__main__":
    arguments = parse()
    end = EarlyEnd(ExitCode.CRASHED)
    end.code = launch(arguments)
    sys.exit(end.code)
