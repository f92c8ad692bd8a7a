"""``mtj run``: carry a job out on this machine, and say where the results lie."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from mtj_api import JobError, MusicTrainingJob, stage_json, waits
from mtj_api.advice import Machine
from mtj_api.contract import WORK_DIR_ENV, ExitCode
from mtj_api.estimate import shortage
from mtj_operator.cli.job import read_job
from mtj_operator.cli.started import started_sizes
from mtj_operator.execute import Executor, LocalExecutor
from mtj_operator.execute.machine import this_machine
from mtj_operator.execute.runs import Run, awaited, record, record_of
from mtj_operator.plan import Plan, Site, plan
from mtj_operator.plan.sources import with_sources


def run(file: str, settings: Sequence[str], *, until: str | None = None) -> int:
    """Run the job in ``file``, up to the stage ``until`` if one is named; the exit status.

    Raises:
        JobError: the job is wrong, runs already, needs more memory than there is, or takes something from a job that
            was not run here.
    """
    named = read_job(file, settings, to_run=True).job
    work_dir = work_folder(named, os.environ)
    others = awaited(named, work_dir.parent)
    job = with_sources(named, {other.job: other.output for other in others})
    job_file = work_dir / "job.json"
    machine = this_machine()
    site = Site(python=sys.executable, job_file=str(job_file), cores=machine.cores, waits=bool(others))
    stages = plan(job, site)
    wanted = stages.until(until) if until else stages
    if "train" in {stage.name for stage in wanted.stages}:
        check_memory(job, machine)
    files = {
        job_file: stage_json(job),
        work_dir / waits.FILE: waits.waits_json(others),
        record_of(work_dir.parent, job.metadata.name): record(
            Run(job.spec.output, str(work_dir), _command(file, settings), tuple(other.job for other in others))
        ),
    }
    executor = LocalExecutor(work_dir, os.environ, announce=partial(print, flush=True), files=files)
    with stopping(executor):
        outcome = executor.run(wanted)
    if outcome.code != ExitCode.DONE:
        print(f"{outcome.stage}: {outcome.sentence}", file=sys.stderr)
        return outcome.code
    for line in results(job, wanted):
        print(line)
    return ExitCode.DONE


def check_memory(job: MusicTrainingJob, machine: Machine) -> None:
    """Whether training can fit the machine: else it would be killed, after hours of preparing perhaps.

    Raises:
        JobError: it cannot, even where it needs less than it seems to.
    """
    if machine.gpus or machine.memory is None or job.spec.training is None:
        return
    lacking = shortage(job.spec, machine.memory, started_sizes(job))
    if lacking is not None and lacking.certain and not (job.spec.training.batch.auto and lacking.helped_by_passes):
        raise JobError(lacking.what, where="spec.training", instead=lacking.instead)


def _command(file: str, settings: Sequence[str]) -> str:
    return shlex.join(["mtj", "run", file, *(word for setting in settings for word in ("--set", setting))])


def work_folder(job: MusicTrainingJob, environment: Mapping[str, str]) -> Path:
    """The job's own folder for caches: the same for the same name and output, so that a rerun finds it."""
    if environment.get(WORK_DIR_ENV):
        base = Path(environment[WORK_DIR_ENV]).absolute()
    elif environment.get("XDG_CACHE_HOME"):
        base = Path(environment["XDG_CACHE_HOME"]).absolute() / "mtj"
    else:
        base = Path.home() / ".cache" / "mtj"
    output = hashlib.sha256(job.spec.output.encode()).hexdigest()[:12]
    return base / f"{job.metadata.name}-{output}"


def results(job: MusicTrainingJob, carried_out: Plan) -> Iterator[str]:
    """Where what the stages made lies, a line each."""
    made = {stage.name for stage in carried_out.stages}
    if "publish" in made:
        yield f"model: {job.spec.output}/model"
    if "report" in made:
        yield f"report: {job.spec.output}/report.html"
        yield f"figures: {job.spec.output}/figures.json"
    elif made:
        yield f"done as far as {carried_out.stages[-1].name}; run it again without --until to go on"


@contextmanager
def stopping(executor: Executor) -> Iterator[None]:
    """Within it, a signal that would end this process stops the executor instead, and a second one does so at once."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        executor.stop()
        os.write(sys.stderr.fileno(), b"\nstopping once everything is saved; again to stop at once\n")

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
