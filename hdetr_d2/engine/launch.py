"""One process per device, started by torchrun or spawned here."""

import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import torch
import torch.distributed as dist
from detectron2.utils import comm

from hdetr_d2.engine.device import choose_device
from hdetr_d2.engine.host_links import watch_hosts
from hdetr_d2.engine.lost_processes import tells_of_a_lost_process, told_in_a_sentence
from hdetr_d2.engine.processes import run_together
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

TORCHRUN_VARIABLES = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)


def launch(
    main: Callable[..., Any],
    *args: Any,
    device: str = "auto",
    num_gpus: int = 1,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
    timeout_minutes: float = 30.0,
    host_timeout_seconds: float = 60.0,
) -> Any:
    """Runs `main(*args)` in every process of the run, and waits for them.

    Under torchrun this process is one of them, and the numbers given here are ignored. Otherwise
    `num_gpus` processes are spawned on this machine, or none if the run has only one process.
    Processes on the CPU communicate by gloo and require `train.device=cpu`; without it, several
    processes on a machine without CUDA are considered a mistake.

    Args:
        main: an importable function, since spawned processes import it.
        device: `train.device`.
        num_gpus: number of processes per machine.
        dist_url: address of the rendezvous, tcp://host:port; `auto` selects a free port of this
            machine.
        timeout_minutes: how long a process waits for the others.
        host_timeout_seconds: maximum time without a sign of life from another host.

    Returns:
        The result of `main` if this is the only process, otherwise None.

    Raises:
        UserError: the processes cannot be started, or one of them raised it.
        Preempted: a signal requested the end.
    """
    timeout = timedelta(minutes=timeout_minutes)
    if all(name in os.environ for name in TORCHRUN_VARIABLES):
        _run_under_torchrun(main, args, device, timeout, host_timeout_seconds)
        return None
    _check_numbers(device, num_gpus, num_machines, machine_rank, dist_url)
    world_size = num_gpus * num_machines
    if world_size == 1:
        return main(*args)
    url = f"tcp://127.0.0.1:{_free_port()}" if dist_url == "auto" else dist_url
    meeting = Meeting(device, url, world_size, num_gpus, timeout, host_timeout_seconds)
    run_together(_spawned, (main, args, meeting, machine_rank * num_gpus), num_gpus)
    return None


def is_started_anew() -> bool:
    """Whether torchrun has started this process to replace one that failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@dataclass(frozen=True)
class Meeting:
    """The rendezvous of the processes of a run.

    device: `train.device`. url: address of the rendezvous. local_size: number of processes per
    machine. timeout: how long to wait for others. host_timeout: maximum seconds without a sign of
    life from a host.
    """

    device: str
    url: str
    world_size: int
    local_size: int
    timeout: timedelta
    host_timeout: float

    def join(self, rank: int, local_rank: int, give_up: Callable[[str], None]) -> None:
        """Joins the process group as process `rank`.

        Args:
            give_up: called in a thread with the reason why this process ends.

        Raises:
            UserError: other processes are missing, or leave before all have joined.
        """
        chosen = choose_device(self.device, local_rank)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        try:
            dist.init_process_group(
                "nccl" if chosen.type == "cuda" else "gloo",
                init_method=self.url,
                rank=rank,
                world_size=self.world_size,
                timeout=self.timeout,
            )
        except RuntimeError as error:
            if not tells_of_a_lost_process(error):
                raise
            why = str(error).partition("\n")[0]
            raise UserError(
                f"process {rank} of {self.world_size} has not met the others at {self.url}: {why}"
            ) from error
        comm.create_local_process_group(self.local_size)
        if self.world_size > self.local_size:
            watch_hosts(
                self.address, local_size=self.local_size, seconds=self.host_timeout, end=give_up
            )

    @property
    def address(self) -> str:
        """Address of the machine of process 0."""
        if self.url == "env://":
            return os.environ["MASTER_ADDR"]
        return urlsplit(self.url).hostname or ""


def _check_numbers(
    device: str, num_gpus: int, num_machines: int, machine_rank: int, dist_url: str
) -> None:
    if num_gpus < 1 or num_machines < 1 or not 0 <= machine_rank < num_machines:
        raise UserError(
            f"--num-gpus {num_gpus} --num-machines {num_machines} --machine-rank {machine_rank}: "
            "counts start at 1, and ranks lie in [0, number of machines)"
        )
    if num_machines > 1 and dist_url == "auto":
        raise UserError(
            "several machines need a place to meet: --dist-url tcp://<first machine>:<port>"
        )
    if num_gpus == 1:
        return
    if device == "auto" and not torch.cuda.is_available():
        raise UserError(
            f"--num-gpus {num_gpus}, but CUDA is not available here: train.device=cpu runs "
            f"{num_gpus} processes on the CPU"
        )
    choose_device(device, local_rank=num_gpus - 1)


def _run_under_torchrun(
    main: Callable[..., None], args: tuple, device: str, timeout: timedelta, host_timeout: float
) -> None:
    rank, world_size, local_rank, local_size = (
        int(os.environ[name]) for name in TORCHRUN_VARIABLES[:4]
    )
    logger.info("Started by torchrun: process %d of %d", rank, world_size)
    meeting = Meeting(device, "env://", world_size, local_size, timeout, host_timeout)
    meeting.join(rank, local_rank, _give_up)
    _run(main, args)


def _give_up(reason: str) -> None:
    print(f"error: {reason}", file=sys.stderr, flush=True)
    os._exit(2)


def _spawned(
    local_rank: int,
    main: Callable[..., None],
    args: tuple,
    meeting: Meeting,
    first_rank: int,
    complaints: Any,
) -> None:
    def give_up(reason: str) -> None:
        complaints.put(reason)
        sys.stdout.flush()
        # Exit immediately: a regular exit may abort in threads of the process group, which would
        # hide the reason.
        os._exit(2)

    try:
        meeting.join(first_rank + local_rank, local_rank, give_up)
        _run(main, args)
    except UserError as error:
        give_up(str(error))


def _run(main: Callable[..., None], args: tuple) -> None:
    with told_in_a_sentence("outside its steps"):
        main(*args)
        # Otherwise the first process to leave the group would close the connections of the others.
        comm.synchronize()
    dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
