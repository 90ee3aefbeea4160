"""The output of a benchmark: the machine, tables, and its section in RESULTS.md."""

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import torch
from tabulate import tabulate
from timing import Effort, Side, Times, clock_for, compare

# Of the rows of `versus`.
VERSUS_COLUMNS: tuple[str, ...] = ("peer", "ours, ms", "peer, ms", "ratio", "required")
VERSUS_COLUMNS += ("cold: ours, ms", "cold: peer, ms", "cold: ratio")
RESULTS = Path(__file__).with_name("RESULTS.md")


def run_parser(description: str | None) -> argparse.ArgumentParser:
    """The options common to all benchmarks."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch on the CPU (2)")
    parser.add_argument("--rounds", type=int, default=5, help="the best of them counts (5)")
    parser.add_argument("--smoke", action="store_true", help="tiny cases: does it run?")
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=RESULTS,
        metavar="FILE",
        help="add the results to this page (benchmarks/RESULTS.md)",
    )
    return parser


def parse_run(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """The options of a run, after checking that its device exists."""
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch sees no CUDA device here.")
    return options


def time_sides(sides: Mapping[str, Side], options: argparse.Namespace) -> dict[str, Times]:
    """How long each side takes, on the device and with the effort of a run."""
    effort = Effort(1, 0.0) if options.smoke else Effort(options.rounds)
    return compare(sides, clock_for(options.device), effort)


def describe_run(device: str) -> list[str]:
    """Date, machine, versions and command, one per line."""
    lines = [
        f"date: {date.today().isoformat()}",
        f"CPU: {cpu_name()}, {_usable_cores()} cores, {torch.backends.cpu.get_cpu_capability()}, "
        f"threads: {torch.get_num_threads()}, load at the start: {_load()}",
        f"software: PyTorch {torch.__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
        f"command: `python {shlex.join(_command())}`",
    ]
    if device == "cuda":
        lines.insert(2, f"GPU: {torch.cuda.get_device_name()}, driver {_driver()}")
    return lines


def heading(device: str) -> str:
    """Title of a run: when and where."""
    where = torch.cuda.get_device_name() if device == "cuda" else cpu_name()
    return f"{date.today().isoformat()}, {where}"


def cpu_name() -> str:
    """The model's name, or the architecture if the system does not report it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, header, tablefmt="github", disable_numparse=True)


def versus(
    times: Mapping[str, Times], ours: str, required: Callable[[str], str]
) -> Iterator[list[str]]:
    """A row for each side except `ours`: its time relative to ours.

    `required` returns the required ratio for a side.
    """
    own = times[ours]
    for name, other in times.items():
        if name != ours:
            warm = [*map(milliseconds, (own.warm, other.warm)), f"{other.warm / own.warm:.2f}"]
            cold = [*map(milliseconds, (own.cold, other.cold)), f"{other.cold / own.cold:.2f}"]
            yield [name, *warm, required(name), *cold]


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:#.4g}".rstrip(".")


def bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def publish(
    benchmark: str, lines: Sequence[str], results: Sequence[str], options: argparse.Namespace
) -> None:
    """Prints the measurements and the machine, and writes them if the run's options say so."""
    body = "\n\n".join([bullets(lines), *results])
    print(body, flush=True)
    if options.write:
        add_section(options.write, benchmark, heading(options.device), body)


def add_section(page: Path, benchmark: str, title: str, body: str) -> None:
    """Inserts a run before the older ones of its benchmark."""
    text = page.read_text(encoding="utf-8") if page.exists() else "# Results\n"
    head = f"\n## {benchmark}\n"
    if head not in text:
        text = text.rstrip() + f"\n{head}"
    before, after = text.split(head, 1)
    section = f"\n### {title}\n\n{body.strip()}\n"
    page.write_text(f"{before}{head}{section}{after}", encoding="utf-8")


def _command() -> list[str]:
    """The script relative to the repository's root, and its arguments."""
    script = Path(sys.argv[0]).resolve()
    return [f"{script.parent.name}/{script.name}", *sys.argv[1:]]


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.splitlines()[0]
