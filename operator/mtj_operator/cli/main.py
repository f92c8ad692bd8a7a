"""Arguments in, exit status out. The commands themselves are imported when they are called."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

DESCRIPTION = "Train music models from one MusicTrainingJob file."

EXAMPLES = """\
examples:
  mtj run manifests/samples/chorales.yaml      train on Bach's chorales, end to end
  mtj generate out/model "a chorale in G major"  play a trained model
  mtj explain job.yaml                         every value of a job, and why it is what it is
  mtj validate job.yaml                        is it right? at once, without running anything
  mtj crd | kubectl apply -f -                 teach a cluster what a MusicTrainingJob is
  mtj logs chorales --follow                   what all pods of a job on a cluster say, until it has ended

'mtj COMMAND --help' has more of each.
"""

RUN = """\
Runs the stages of a job on this machine: prepare, train, evaluate, report, publish.
Ctrl-C, or a kill at any moment, loses nothing: the same command goes on where it stopped.
Relative paths in the job, such as 'source: ./music', start at the working directory.
"""

RUN_EXAMPLES = """\
examples:
  mtj run job.yaml
  mtj run job.yaml --until prepare
  mtj run job.yaml --set spec.training.steps=100 --set spec.output=./quick

The last lines say where the results lie:
  model: PATH, report: PATH and figures: PATH

exit status: 0 done, 65 the job or its data cannot work, 75 stopped (run it again to go on), 1 anything else
"""

VALIDATE = """\
Says whether jobs are right, without running anything: what is wrong, in which line, and what to write instead.
"""

VALIDATE_EXAMPLES = """\
examples:
  mtj validate job.yaml
  mtj validate jobs/*.yaml
  helm template chart | mtj validate -

exit status: 0 all are right, 65 one is wrong
"""

EXPLAIN = """\
Prints every value of a job with the reason for it, the memory that a training process needs, and the
warnings that a good colleague would give, such as less music than the strategy needs.
"""

EXPLAIN_EXAMPLES = """\
examples:
  mtj explain job.yaml
  mtj explain job.yaml --set spec.training.processesPerNode=2
  mtj explain job.yaml --json | jq .memory
"""

LOGS = """\
Prints the logs of all pods of a job on a cluster, each line with its stage and the pod's rank: of finished stages by
time, then of what runs. The cluster and the namespace are those of kubectl.
"""

LOGS_EXAMPLES = """\
examples:
  mtj logs chorales
  mtj logs chorales --follow              across restarts and from stage to stage, until the job has ended
  mtj logs chorales --stage train --rank 1 --tail 100
  mtj logs chorales --attempt all

exit status: 0 done, 1 the job that was followed has failed, 65 the job cannot be read, 130 stopped by Ctrl-C
"""

CRD = """\
Prints the CustomResourceDefinition that teaches a Kubernetes cluster the MusicTrainingJob.
"""

CRD_EXAMPLES = """\
examples:
  mtj crd | kubectl apply -f -
"""

OPERATOR = """\
Runs the MusicTrainingJobs of a Kubernetes cluster, until it is told to stop. In a cluster it runs from its image, with
manifests/operator; here it takes the cluster of KUBECONFIG, with the rights that you have there.
"""

OPERATOR_EXAMPLES = """\
examples:
  mtj operator --trainer-image mtj-trainer:dev
  mtj operator --trainer-image mtj-trainer:dev --namespace music --verbose

exit status: 0 told to stop, 1 it could not go on or the lease was lost, 65 it could not begin: there is no such
cluster, or the port is taken
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments (``sys.argv`` by default) name; its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["generate"]:
        from mtj_operator.cli.generate import generate

        generate(given[1:])
    options = _parser().parse_args(given)
    from mtj_api import JobError
    from mtj_api.contract import ExitCode

    try:
        return _call(options)
    except JobError as error:
        print(error, file=sys.stderr)
        return ExitCode.WRONG_JOB
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.CRASHED


def _call(options: argparse.Namespace) -> int:
    match options.command:
        case "run":
            from mtj_operator.cli.run import run

            return run(options.job, options.set, until=options.until)
        case "validate":
            from mtj_operator.cli.validate import validate

            return validate(options.jobs, options.set)
        case "explain":
            from mtj_operator.cli.explain import explain

            return explain(options.job, options.set, as_json=options.json, look=options.survey)
        case "operator":
            from mtj_operator.cli import operator_extra

            with operator_extra.needed():
                from mtj_operator.control.main import run as operate
            from mtj_operator.control.settings import from_arguments

            return operate(from_arguments(options))
        case "logs":
            from mtj_operator.cli.logs import Wanted, logs

            o = options
            return logs(Wanted(o.name, o.namespace, o.stage, o.attempt, o.rank, o.follow, o.tail, o.since))
        case _:
            from mtj_api.crd import custom_resource_definition_yaml

            sys.stdout.write(custom_resource_definition_yaml())
            sys.stdout.flush()
            return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtj", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = _command(commands, "run", "run a job on this machine", RUN, RUN_EXAMPLES)
    run.add_argument("job", metavar="JOB", help="the job file; - reads it from standard input")
    run.add_argument(
        "--until", metavar="STAGE", help="stop after this stage: prepare, train, evaluate, report or publish"
    )
    validate = _command(commands, "validate", "say whether jobs are right", VALIDATE, VALIDATE_EXAMPLES)
    validate.add_argument("jobs", metavar="JOB", nargs="+", help="job files; - reads one from standard input")
    explain = _command(commands, "explain", "every value of a job and its reason", EXPLAIN, EXPLAIN_EXAMPLES)
    explain.add_argument("job", metavar="JOB", help="the job file; - reads it from standard input")
    explain.add_argument("--json", action="store_true", help="the same as JSON, for programs")
    explain.add_argument(
        "--no-survey", dest="survey", action="store_false", help="do not look at the source, which may lie elsewhere"
    )
    for command in (run, validate, explain):
        command.add_argument(
            "--set",
            metavar="FIELD=VALUE",
            action="append",
            default=[],
            help="a value in place of the file's, as spec.training.steps=100; null removes a field; may be repeated",
        )
    from mtj_operator.control.settings import add_arguments

    operator = _command(commands, "operator", "run the jobs of a cluster", OPERATOR, OPERATOR_EXAMPLES)
    add_arguments(operator)
    logs = _command(commands, "logs", "what the pods of a job on a cluster say", LOGS, LOGS_EXAMPLES)
    logs.add_argument("name", metavar="NAME", help="the name of the job")
    logs.add_argument("-n", "--namespace", default="", help="of the job; that of the kubeconfig by default")
    logs.add_argument("--stage", default="", help="of this stage alone")
    logs.add_argument(
        "--attempt", metavar="N|all", default="", help="of this attempt, or of all; of the last by default"
    )
    logs.add_argument("--rank", metavar="I", type=int, help="of this pod of each stage alone, from 0")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")
    logs.add_argument("--tail", metavar="N", type=int, help="begin with so many lines of each log")
    logs.add_argument("--since", metavar="TIME", default="", help="begin with lines of the last 90s, 10m or 2h")
    commands.add_parser("generate", help="play a trained model", add_help=False)  # its options are the trainer's
    _command(commands, "crd", "print the CustomResourceDefinition", CRD, CRD_EXAMPLES)
    return parser


def _command(commands: Any, name: str, brief: str, description: str, examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=brief,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


class _Version(argparse.Action):
    """``--version``, which looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print("mtj", version("music-training-job"))
        parser.exit()
