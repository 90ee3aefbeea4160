"""Compares with another commit of this project: built in a separate folder, and run by a separate
process that takes a turn when asked.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from timing import Side

ROOT = Path(__file__).resolve().parents[1]
Environment = Mapping[str, str]


def add_against_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option, and the one of the processes that are started for it."""
    parser.add_argument(
        "--against", metavar="COMMIT", help="of this project: a peer, built in a temporary clone"
    )
    parser.add_argument("--serve", nargs="*", metavar="SIDE", help=argparse.SUPPRESS)


def again(*further: str) -> list[str]:
    """The command of a process with the same options as this one, plus others."""
    return [sys.executable, *sys.argv, *further]


@contextmanager
def built(commit: str) -> Iterator[Environment]:
    """The environment in which Python imports the package of a given commit.

    Raises:
        SystemExit: the commit does not exist here, or cannot be built.
    """
    with tempfile.TemporaryDirectory() as folder:
        _run("git", "clone", "--quiet", "--no-checkout", str(ROOT), folder)
        _run("git", "-C", folder, "checkout", "--quiet", commit)
        _run(sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", folder=folder)
        yield {**os.environ, "PYTHONPATH": folder}


def _run(*command: str, folder: str | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr.strip().splitlines()[-1]}")


@contextmanager
def served(command: Sequence[str], environment: Environment) -> Iterator[Side]:
    """A side that lets `command`, which ends in `serve`, take a turn, and waits for its end."""
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        ask, answers = process.stdin, process.stdout

        def turn() -> None:
            print(file=ask, flush=True)
            if not answers.readline():
                sys.exit(f"{' '.join(command)} ended.")

        try:
            yield turn
        finally:
            ask.close()


def serve(side: Side) -> None:
    """Takes a turn for every line of input, and answers each with a line."""
    for _ in sys.stdin:
        side()
        print(flush=True)
