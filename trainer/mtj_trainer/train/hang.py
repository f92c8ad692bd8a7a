"""When training that does not go on counts as hung, and whose fault that is: pure, from what the processes last told.

Training goes in step, so one process that is stuck soon stops all. Invariant: while any process of the gang goes on,
however slowly, nothing counts as hung.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mtj_trainer.train.pulse import Beat, Phase

PATIENCE = 3.0
"""How many times as long as a step the phases may take that are slow by nature, and any phase the first time, in which
libraries are loaded and kernels are compiled and chosen."""

START_SECONDS = 900.0
"""How long the first sign of a process, and what it does before its first step, may take at least: libraries, models
and checkpoints come over networks and from cold disks."""

USUAL = 4.0
"""How many times as long as it ever took a phase may take, where that is longer."""

NAMED = 3
"""How many processes a sentence names."""

_PATIENT = frozenset({Phase.BEGIN, Phase.MEET, Phase.VALIDATE, Phase.CHECKPOINT, Phase.END})
"""Among them the wait for others: whoever keeps them waiting knows better how long that may take."""


@dataclass(frozen=True)
class Standing:
    """Where a process stands.

    Attributes:
        host: the machine's name.
        seconds: since it last went on.
        stuck: why it takes no signal, in the kernel's view; empty where it does.
    """

    rank: int
    host: str
    phase: Phase
    step: int
    seconds: float
    stuck: str = ""


def patience(beats: Sequence[Beat], processes: int, seconds: float) -> float:
    """For how long none of a machine's processes may go on, while none elsewhere does either, before that is a hang.

    Args:
        beats: of those that have begun.
        processes: how many there are.
        seconds: for which a step may stand still (``training.hangSeconds``).
    """
    if len(beats) < processes:
        return max(START_SECONDS, PATIENCE * seconds)
    return max(_patience(beat, seconds) for beat in [one for one in beats if one.phase != Phase.MEET] or beats)


def _patience(beat: Beat, seconds: float) -> float:
    patient = beat.phase in _PATIENT or not beat.longest
    least = START_SECONDS if beat.phase == Phase.BEGIN else 0.0
    return max(least, seconds * (PATIENCE if patient else 1.0), USUAL * beat.longest)


def sentence(standings: Sequence[Standing], silent: int, stacks: str) -> str:
    """What is known of a hang, for the status of the job.

    Args:
        standings: of all processes that something is known of.
        silent: machines that said nothing.
        stacks: where the stacks lie.
    """
    found = suspects(standings)
    machines = len({standing.host for standing in standings}) + silent
    said = [_words(standing, with_host=machines > 1) for standing in found[:NAMED]]
    if len(found) > NAMED:
        said.append(f"{len(found) - NAMED} more likewise")
    if silent:
        said.append("a machine does not answer" if silent == 1 else f"{silent} machines do not answer")
    others = len(standings) - len(found)
    wait = "" if not others or silent else f"; {'the other waits' if others == 1 else f'the {others} others wait'}"
    return f"training hung: {', '.join(said) or 'no process has begun'}{wait}; stacks of all processes: {stacks}"


def suspects(standings: Sequence[Standing]) -> list[Standing]:
    """Those that the others wait for: stopped ones; else those that do not say that they wait themselves, of which
    those that are furthest behind."""
    stopped = [standing for standing in standings if standing.stuck]
    at_work = [standing for standing in standings if standing.phase != Phase.MEET] or list(standings)
    behind = min((_advance(standing) for standing in at_work), default=(0, 0))
    return sorted(stopped or [one for one in at_work if _advance(one) == behind], key=lambda one: one.rank)


_ORDER = {phase: place for place, phase in enumerate(Phase)}


def _advance(standing: Standing) -> tuple[int, int]:
    """How far a process has come; what follows a step belongs to it."""
    return (standing.step, _ORDER[standing.phase])


def _words(standing: Standing, *, with_host: bool) -> str:
    doing = {
        Phase.BEGIN: "has been starting",
        Phase.DATA: f"has waited for the data of step {standing.step + 1}",
        Phase.MEET: f"has waited for others before step {standing.step + 1}",
        Phase.COMPUTE: f"has computed step {standing.step + 1}",
        Phase.VALIDATE: f"has validated after step {standing.step}",
        Phase.CHECKPOINT: f"has saved the checkpoint of step {standing.step}",
        Phase.END: f"has been ending after step {standing.step}",
    }[standing.phase]
    where = f" on {standing.host}" if with_host else ""
    why = f" ({standing.stuck})" if standing.stuck else ""
    return f"process {standing.rank}{where} {doing} for {standing.seconds:.0f} s{why}"


def account(standings: Sequence[Standing]) -> str:
    """What a machine tells the others of its processes."""
    return json.dumps([asdict(standing) for standing in standings])


def standings_of(accounts: Sequence[str]) -> list[Standing]:
    """What machines have told of their processes."""
    return [Standing(**{**one, "phase": Phase(one["phase"])}) for text in accounts for one in json.loads(text)]
