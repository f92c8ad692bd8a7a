"""What every executor promises: order, environment, the sentence of a failure, interruption, and the rerun.

A concept's tests derive a class from ``ExecutorContract`` and have two fixtures: ``witness`` makes the stages, and
``new_executor`` makes executors, of which those of one test run the same job.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

import pytest

from mtj_api.contract import ExitCode
from mtj_operator.execute import Executor, Outcome
from support.witness import Witness

FAIL = """
pathlib.Path(os.environ["MTJ_TERMINATION_LOG"]).write_text({sentence!r})
sys.exit({status})
"""


class ExecutorContract:
    """The promises, as tests."""

    @pytest.fixture
    def executor(self, new_executor: Callable[[], Executor]) -> Executor:
        """One of them."""
        return new_executor()

    def test_stages_run_in_order_each_after_all_that_it_needs(self, executor: Executor, witness: Witness) -> None:
        plan = witness.plan(
            witness.stage("prepare", "time.sleep(0.2); note('prepare')"),
            witness.stage("train", "time.sleep(0.1); note('train')", needs=("prepare",)),
            witness.stage("evaluate", "note('evaluate')", needs=("prepare", "train")),
        )
        assert executor.run(plan) == Outcome(ExitCode.DONE)
        assert witness.notes == ["prepare", "train", "evaluate"]

    def test_a_stage_has_its_own_environment_and_a_folder_to_work_in(
        self, executor: Executor, witness: Witness
    ) -> None:
        program = """
        pathlib.Path(os.environ["MTJ_WORK_DIR"], "cache").touch()
        note(os.environ["GREETING"])
        """
        executor.run(witness.plan(witness.stage("train", program, GREETING="good morning")))
        assert witness.notes == ["good morning"]

    @pytest.mark.parametrize(
        ("program", "code", "says"),
        [
            pytest.param(
                FAIL.format(sentence="the file a.mid\nis broken", status=65),
                ExitCode.WRONG_JOB,
                "the file a.mid is broken",
                id="a wrong job says why in one sentence",
            ),
            pytest.param(
                "sys.exit(65)",
                ExitCode.WRONG_JOB,
                "the job or its data cannot work as written",
                id="a wrong job without a sentence",
            ),
            pytest.param("sys.exit(1)", ExitCode.CRASHED, "it failed with exit status 1", id="a crash"),
            pytest.param(
                FAIL.format(sentence="the disk is full", status=1),
                ExitCode.CRASHED,
                "the disk is full",
                id="a crash with a sentence",
            ),
            pytest.param(
                "os.kill(os.getpid(), signal.SIGKILL)", ExitCode.CRASHED, "it was ended by SIGKILL", id="killed"
            ),
            pytest.param(
                "os.kill(os.getpid(), signal.SIGSEGV)",
                ExitCode.CRASHED,
                "it was ended by SIGSEGV",
                id="a fault in a library",
            ),
            pytest.param("sys.exit(75)", ExitCode.INTERRUPTED, "saved its work", id="stopped by something else"),
        ],
    )
    def test_a_stage_that_fails_ends_the_plan_with_its_reason(
        self, executor: Executor, witness: Witness, program: str, code: ExitCode, says: str
    ) -> None:
        plan = witness.plan(
            witness.stage("prepare", "note('prepare')"),
            witness.stage("train", program, needs=("prepare",)),
            witness.stage("evaluate", "note('evaluate')", needs=("train",)),
        )
        outcome = executor.run(plan)
        assert (outcome.code, outcome.stage) == (code, "train")
        assert says in outcome.sentence
        assert witness.notes == ["prepare"]

    def test_a_program_that_is_not_there_is_a_failure(self, executor: Executor, witness: Witness) -> None:
        missing = dataclasses.replace(witness.stage("train", ""), command=("/no/such/program",))
        outcome = executor.run(witness.plan(missing))
        assert (outcome.code, outcome.stage) == (ExitCode.CRASHED, "train")

    def test_a_stage_that_is_told_to_stop_saves_its_work_and_later_goes_on(
        self, new_executor: Callable[[], Executor], witness: Witness
    ) -> None:
        program = """
        def save(number, frame):
            note("saved")
            sys.exit(75)
        if (here / "notes").exists() and "saved" in (here / "notes").read_text():
            note("went on")
        else:
            signal.signal(signal.SIGTERM, save)
            note("working")
            time.sleep(60)
        """
        plan = witness.plan(
            witness.stage("train", program), witness.stage("report", "note('report')", needs=("train",))
        )
        executor = new_executor()

        def interrupt() -> None:
            witness.wait_for("working")
            executor.stop()

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        outcome = executor.run(plan)
        interrupter.join()
        assert (outcome.code, outcome.stage) == (ExitCode.INTERRUPTED, "train")
        assert witness.notes == ["working", "saved"]

        assert new_executor().run(plan) == Outcome(ExitCode.DONE)
        assert witness.notes == ["working", "saved", "went on", "report"]

    def test_a_second_stop_does_not_wait(self, executor: Executor, witness: Witness) -> None:
        program = """
        signal.signal(signal.SIGTERM, lambda number, frame: note("will not"))
        note("working")
        while True:
            time.sleep(60)
        """

        def interrupt() -> None:
            witness.wait_for("working")
            executor.stop()
            witness.wait_for("will not")
            executor.stop()

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        outcome = executor.run(witness.plan(witness.stage("train", program)))
        interrupter.join()
        assert outcome.code == ExitCode.INTERRUPTED

    def test_a_failure_of_an_earlier_run_is_forgotten(
        self, new_executor: Callable[[], Executor], witness: Witness
    ) -> None:
        once = """
        if "failed" not in (here / "notes").read_text():
            note("failed")
            pathlib.Path(os.environ["MTJ_TERMINATION_LOG"]).write_text("not yet")
            sys.exit(65)
        sys.exit(1)
        """
        plan = witness.plan(
            witness.stage("prepare", "note('prepare')"), witness.stage("train", once, needs=("prepare",))
        )
        assert "not yet" in new_executor().run(plan).sentence
        assert "exit status 1" in new_executor().run(plan).sentence
