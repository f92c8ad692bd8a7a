"""``python -m testcluster up|down|prepare``: the cluster of this checkout."""

from __future__ import annotations

import argparse
import os
import sys

from testcluster import lifecycle, supervisor
from testcluster.layout import KUBECONFIG


def main() -> None:
    parser = argparse.ArgumentParser(prog="testcluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start it, or bring changed images to it")
    start.add_argument("--while-used", action="store_true", help="it ends when no test uses it any more")
    commands.add_parser("down", help="end it")
    commands.add_parser("prepare", help="install, build and make what it needs, and start nothing")
    arguments = parser.parse_args()
    command = arguments.command
    was_up = supervisor.running() is not None
    try:
        if os.geteuid() != 0 and (command == "up" or was_up):
            raise RuntimeError(lifecycle.NEEDS_ROOT)
        if command == "prepare":
            print("\n".join(lifecycle.prepare()))
        elif command == "down":
            lifecycle.down()
            print("the cluster is down" if was_up else "there was no cluster")
        else:
            lifecycle.up(keep=not arguments.while_used)
            print("the cluster was up already:" if was_up else "the cluster is up:", f"export KUBECONFIG={KUBECONFIG}")
    except (RuntimeError, PermissionError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
