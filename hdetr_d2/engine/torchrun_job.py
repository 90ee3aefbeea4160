"""A training as a submitit job: one task per node, in which torchrun starts the processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

TRAINING = ("-m", "hdetr_d2", "train")
PORTS = range(20000, 30000)
"""Ports at which the nodes of a job meet; the job's number selects one."""


@dataclass
class TorchrunJob:
    """The work of every node of a job. If its time is over, or it is preempted, the training is
    saved and the job is queued again.

    arguments: arguments of the program. processes: number per node. restarts: maximum number of
    restarts after a process has failed. program: the program that torchrun starts.
    """

    arguments: Sequence[str]
    processes: int
    restarts: int = 0
    program: Sequence[str] = TRAINING
    _torchrun: subprocess.Popen | None = field(default=None, init=False, repr=False)

    def __call__(self) -> None:
        """Raises RuntimeError if the training failed, so that the job counts as failed."""
        self._torchrun = subprocess.Popen(self.command(), preexec_fn=_leave_preemption_to_parent)
        status = self._torchrun.wait()
        if status:
            raise RuntimeError(f"torchrun ended with status {status}: see the log of the training")

    def command(self) -> list[str]:
        """The command for this node."""
        from submitit import JobEnvironment

        job = JobEnvironment()
        first = job.hostnames[0] if job.num_nodes > 1 else "localhost"
        port = PORTS[int(job.raw_job_id) % len(PORTS)]
        options = {
            "nnodes": job.num_nodes,
            "nproc-per-node": self.processes,
            "max-restarts": self.restarts,
            "rdzv-backend": "c10d",
            "rdzv-endpoint": f"{first}:{port}",
            "rdzv-id": job.job_id,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        torchrun = [sys.executable, "-m", "torch.distributed.run", *words]
        return [*torchrun, *self.program, *self.arguments]

    def checkpoint(self) -> "DelayedSubmission":
        """Called by submitit, on the first node, before the job is queued again."""
        from submitit.helpers import DelayedSubmission

        if self._torchrun is not None:
            self._torchrun.terminate()
            # `wait` is already being called: this signal has interrupted it.
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, self._torchrun.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(replace(self))


def _leave_preemption_to_parent() -> None:
    """Makes torchrun ignore Slurm's signal, which is sent to all processes of a node and would end
    it.
    """
    from submitit import JobEnvironment

    signal.signal(getattr(signal, f"SIG{JobEnvironment.USR_SIG}"), signal.SIG_IGN)
