"""A training with a few processes on this machine, started as by torchrun."""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import cast

from hdetr_d2.rehearsal.spoiled import Spoil

LIMIT = 900.0
"""Seconds after which a training is considered stuck."""
GRACE = 20.0
"""Seconds that the other processes are given, once one has failed, before they are asked to end;
torchrun asks immediately, which would hide their own reaction.
"""

IMPORTED = [
    "hdetr_d2.engine.main",
    "hdetr_d2.evaluation",
    "hdetr_d2.schemes",
    "torch._dynamo",
    "torch.utils.tensorboard",
    "torchvision.transforms.v2",
    "timm",
]
"""Modules that the training needs and that take seconds to import."""


class Training:
    """Processes that train together, forked from one that has imported everything already."""

    def __init__(
        self, arguments: Sequence[str], output: Path, *, count: int, spoil: Spoil | None = None
    ) -> None:
        """
        Args:
            arguments: arguments of the training script.
            output: a folder for the output of the processes, one file each.
        """
        output.mkdir(parents=True, exist_ok=True)
        self.outputs = [output / f"process_{rank}.txt" for rank in range(count)]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        self.processes = [
            context.Process(target=_train, args=(rank, count, port, [*arguments], path, spoil))
            for rank, path in enumerate(self.outputs)
        ]
        self.began = time.monotonic()
        for process in self.processes:
            process.start()

    @property
    def is_running(self) -> bool:
        return all(process.is_alive() for process in self.processes)

    def send(self, rank: int, number: int) -> None:
        """Sends a signal to process `rank`, if it still exists."""
        process = self.processes[rank]
        if process.is_alive() and process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def loaders(self, rank: int) -> list[int]:
        """The data loading processes of process `rank`."""
        return forks(self.processes[rank].pid or 0)

    def wait(self) -> list[int | None]:
        """Waits for all processes and returns their exit statuses; None for one that did not end
        and was killed after `LIMIT` seconds.
        """
        running = {process.sentinel: process for process in self.processes}
        last, ends = self.began + LIMIT, None
        while running and time.monotonic() < last:
            for sentinel in wait([*running], timeout=1.0):
                ended = running.pop(cast(int, sentinel))
                ended.join()
                if ended.exitcode and ends is None:
                    ends = time.monotonic() + GRACE
            if ends is not None and time.monotonic() > ends:
                ends = last
                for process in running.values():
                    process.terminate()
        late = [*running.values()]
        self.stop()
        return [None if process in late else process.exitcode for process in self.processes]

    def stop(self) -> None:
        """Kills all remaining processes."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()

    def read(self) -> list[str]:
        """The output of each process."""
        return [path.read_text(errors="replace") for path in self.outputs]


def _train(
    rank: int, count: int, port: int, arguments: list[str], path: Path, spoil: Spoil | None
) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ.update({name: str(number) for name, number in numbers.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    # Data loading processes are forked too, which is the default; otherwise each would import
    # everything again.
    multiprocessing.set_start_method("fork", force=True)
    import torch

    from hdetr_d2.engine.main import main

    torch.set_num_threads(1)  # sums by several threads differ in the last digits
    if spoil is not None:
        spoil.install()
    sys.exit(main(arguments))


def forks(parent: int) -> list[int]:
    """The processes forked by a process, on Linux: they have the same command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The program's name is in parentheses, and may contain any character.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            lines = [(each / "cmdline").read_bytes() for each in (folder, Path(f"/proc/{parent}"))]
            if int(fields[1]) == parent and lines[0] == lines[1]:
                found.append(int(folder.name))
    return sorted(found)


def kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
