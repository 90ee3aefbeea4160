"""Starting one process for each device."""

import logging
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from detectron2._subset import absent
from detectron2.utils import comm

__all__ = ["DEFAULT_TIMEOUT", "launch"]
__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT = timedelta(minutes=30)


def launch(
    main_func: Callable[..., Any],
    num_gpus_per_machine: int,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str | None = None,
    args: tuple = (),
    timeout: timedelta = DEFAULT_TIMEOUT,
) -> None:
    """Run `main_func(*args)` in as many processes as there are devices, and wait for them.

    With one process in all it is called in this one. Otherwise processes are spawned, so
    `main_func` and `args` must be picklable, and torch.distributed is set up in each: NCCL, or
    gloo where CUDA is not available.

    Args:
        main_func: what to run.
        num_gpus_per_machine: processes of this machine.
        num_machines: this function is called once on each.
        machine_rank: 0 ... num_machines - 1.
        dist_url: where the processes meet, as "tcp://host:port"; "auto" = a free port of this
            machine.
        args: for `main_func`.
        timeout: of the communication between the processes.

    Raises:
        torch.multiprocessing.ProcessRaisedException: with the traceback of the process that failed.
    """
    world_size = num_machines * num_gpus_per_machine
    if world_size == 1:
        main_func(*args)
        return
    if dist_url == "auto":
        assert num_machines == 1, "dist_url=auto is for one machine only."
        dist_url = f"tcp://127.0.0.1:{_free_port()}"
    if num_machines > 1 and (dist_url or "").startswith("file://"):
        logger.warning("file:// is not reliable between machines; prefer tcp://")
    first_rank = machine_rank * num_gpus_per_machine
    mp.start_processes(
        _worker,
        nprocs=num_gpus_per_machine,
        args=(main_func, args, world_size, num_gpus_per_machine, first_rank, dist_url, timeout),
        daemon=False,
    )


def _free_port() -> int:
    # Somebody else could take it before it is used; then the start fails and says so.
    with socket.socket() as s:
        s.bind(("", 0))
        return s.getsockname()[1]


def _worker(
    local_rank: int,
    main_func: Callable[..., Any],
    args: tuple,
    world_size: int,
    local_size: int,
    first_rank: int,
    dist_url: str,
    timeout: timedelta,
) -> None:
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        assert local_size <= torch.cuda.device_count(), (
            f"{local_size} processes for {torch.cuda.device_count()} GPUs."
        )
    try:
        dist.init_process_group(
            backend="NCCL" if has_gpu else "GLOO",
            init_method=dist_url,
            world_size=world_size,
            rank=first_rank + local_rank,
            timeout=timeout,
        )
    except Exception:
        logger.error(f"The processes could not meet at {dist_url}")
        raise
    comm.create_local_process_group(local_size)
    if has_gpu:
        torch.cuda.set_device(local_rank)
    comm.synchronize()  # else a fast process could time out waiting for a slow start
    main_func(*args)
