"""`hdetr-d2 COMMAND ...`, or `python -m hdetr_d2 COMMAND ...`: everything that needs no clone."""

from hdetr_d2 import __version__

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from hdetr_d2.errors import UserError
from hdetr_d2.utils.own_modules import own_module

# Command -> the module with its `main`, imported on demand, and its description.
COMMANDS = {
    "train": ("hdetr_d2.engine.main", "train or evaluate a detector"),
    "predict": ("hdetr_d2.commands.predict", "find objects in images and videos"),
    "replay": ("hdetr_d2.commands.replay", "repeat a step of a training that was not finite"),
    "rehearse": ("hdetr_d2.commands.rehearse", "try what goes wrong in long trainings"),
    "check-data": ("hdetr_d2.commands.check_data", "check a data set before training on it"),
    "judge": ("hdetr_d2.commands.judge", "judge a detector by what it found on its data"),
    "report": ("hdetr_d2.commands.report", "write a page of a run: curves, tables, worst pictures"),
    "compare": ("hdetr_d2.commands.compare", "set two runs on the same data side by side"),
    "plot": ("hdetr_d2.commands.plot", "draw losses, AP and learning rate of a training"),
    "export": ("hdetr_d2.commands.export", "write a model for other runtimes"),
    "benchmark": ("hdetr_d2.commands.benchmark", "time checkpoints and exported models"),
    "contact-sheet": ("hdetr_d2.commands.contact_sheet", "draw true and predicted objects"),
    "analyze": ("hdetr_d2.commands.analyze", "compare what trained models have learned"),
    "compare-schemes": ("hdetr_d2.commands.compare_schemes", "train a model under several schemes"),
    "convert": ("hdetr_d2.commands.convert", "convert a published checkpoint"),
    "convert-data": ("hdetr_d2.commands.convert_data", "write a data set in another format"),
    "average": ("hdetr_d2.commands.average", "write the mean of several checkpoints"),
    "submit": ("hdetr_d2.commands.submit", "queue a training on a cluster with Slurm"),
    "push": ("hdetr_d2.commands.push", "share a model on the hub, or as a folder"),
    "doctor": ("hdetr_d2.doctor.__main__", "what is installed and built, and whether it works"),
}

INTERRUPTED = 130  # exit status, as of a process that SIGINT ended


def argument_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="hdetr-d2",
        usage="%(prog)s COMMAND ...",
        description="Detection transformers and the schemes that train them.",
        epilog="\n".join(["commands (each has its own --help):", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="see below")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def start(command: str, argv: Sequence[str]) -> int:
    """Runs a command.

    Args:
        argv: the name of the program, and its arguments.

    Returns:
        The exit status.
    """
    _let_threads_wait()
    _write_to_any_console()
    sys.argv = list(argv)
    try:
        module = own_module(COMMANDS[command][0], f"hdetr-d2 {command}")
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    try:
        return module.main()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        return INTERRUPTED


def _let_threads_wait() -> None:
    """Sets how torch's threads wait for each other, unless the environment says so; torch reads it
    when it is imported.

    Spinning threads take cores from other programs: beside one busy process, a step took six times
    as long. Threads that sleep immediately wake up late, especially on a virtual machine: a step of
    many small operations took 1.4 times as long. With this setting GNU's OpenMP spins for some tens
    of microseconds.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "4000")


def _write_to_any_console() -> None:
    """Class and file names may contain characters that the console, or its replacement, cannot
    write: they are escaped, also in processes started from here.
    """
    os.environ.setdefault("PYTHONIOENCODING", ":backslashreplace")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> int:
    command = argument_parser().parse_args(sys.argv[1:2]).command
    return start(command, [f"hdetr-d2 {command}", *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(main())
