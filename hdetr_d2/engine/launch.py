"""One process for each device: started by torchrun, or spawned here."""

import logging
import os
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from detectron2.utils import comm

from hdetr_d2.engine.device import choose_device
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
TIMEOUT = timedelta(minutes=30)


def launch(
    main: Callable[..., Any],
    *args: Any,
    device: str = "auto",
    num_gpus: int = 1,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
) -> Any:
    """Run `main(*args)` in every process of the run, and wait for them.

    Under torchrun this process is one of them, and the numbers given here are not used. Otherwise
    `num_gpus` processes are spawned on this machine, or none if the run has one process in all.
    Processes on the CPU talk through gloo, and must be asked for with `train.device=cpu`: without
    it several processes on a machine without CUDA are taken for a mistake.

    Args:
        main: a function that a spawned process can import.
        device: `train.device`.
        num_gpus: processes of each machine.
        dist_url: where the processes meet, tcp://host:port; `auto` is a free port of this machine.

    Returns:
        What `main` does, if this process is the only one; else None.

    Raises:
        UserError: what was asked for cannot be started, or a process raised it.
    """
    if all(name in os.environ for name in TORCHRUN_VARIABLES):
        _run_under_torchrun(main, args, device)
        return None
    _check_numbers(device, num_gpus, num_machines, machine_rank, dist_url)
    world_size = num_gpus * num_machines
    if world_size == 1:
        return main(*args)
    url = f"tcp://127.0.0.1:{_free_port()}" if dist_url == "auto" else dist_url
    context = mp.get_context("spawn")
    complaints = context.SimpleQueue()
    first_rank = machine_rank * num_gpus
    setting = (main, args, device, url, first_rank, world_size, num_gpus, complaints)
    try:
        mp.start_processes(_spawned, setting, nprocs=num_gpus, start_method="spawn")
    except (mp.ProcessExitedException, mp.ProcessRaisedException):
        # One process gives up and takes the others down: what it said is the reason.
        if complaints.empty():
            raise
        raise UserError(complaints.get()) from None
    return None


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


def _run_under_torchrun(main: Callable[..., None], args: tuple, device: str) -> None:
    rank, world_size, local_rank, local_size = (
        int(os.environ[name]) for name in TORCHRUN_VARIABLES[:4]
    )
    logger.info("Started by torchrun: process %d of %d", rank, world_size)
    _join(device, "env://", rank, world_size, local_rank, local_size)
    _run(main, args)


def _spawned(
    local_rank: int,
    main: Callable[..., None],
    args: tuple,
    device: str,
    url: str,
    first_rank: int,
    world_size: int,
    local_size: int,
    complaints: Any,
) -> None:
    try:
        _join(device, url, first_rank + local_rank, world_size, local_rank, local_size)
        _run(main, args)
    except UserError as error:
        complaints.put(str(error))
        sys.exit(2)


def _join(
    device: str, url: str, rank: int, world_size: int, local_rank: int, local_size: int
) -> None:
    """Make this process number `rank` of the group."""
    chosen = choose_device(device, local_rank)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group(
        "nccl" if chosen.type == "cuda" else "gloo",
        init_method=url,
        rank=rank,
        world_size=world_size,
        timeout=TIMEOUT,
    )
    comm.create_local_process_group(local_size)


def _run(main: Callable[..., None], args: tuple) -> None:
    main(*args)
    # Whoever leaves the group first would take the others' connections along.
    comm.synchronize()
    dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
