"""A training as a job of submitit: one a node, and torchrun starts the processes there."""

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
"""Those at which the nodes of a job meet, by its number."""


@dataclass
class TorchrunJob:
    """What every node of a job runs. When its time is over, or it must make room for another one,
    the training is saved, and the job queued again.

    arguments: of the program. processes: of a node. restarts: after processes that ended before
    their time. program: what torchrun runs.
    """

    arguments: Sequence[str]
    processes: int
    restarts: int = 0
    program: Sequence[str] = TRAINING
    _torchrun: subprocess.Popen | None = field(default=None, init=False, repr=False)

    def __call__(self) -> None:
        """Raises RuntimeError where the training did not end well: the job has failed then."""
        self._torchrun = subprocess.Popen(self.command(), preexec_fn=_leave_preemption_to_parent)
        status = self._torchrun.wait()
        if status:
            raise RuntimeError(f"torchrun ended with status {status}: see the log of the training")

    def command(self) -> list[str]:
        """Of this node."""
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
        """What submitit asks for, in the first node, before it queues the job again."""
        from submitit.helpers import DelayedSubmission

        if self._torchrun is not None:
            self._torchrun.terminate()
            # `wait` is being called already: it is this signal that has broken into it.
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, self._torchrun.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(replace(self))


def _leave_preemption_to_parent() -> None:
    """Slurm sends its signal to all processes of a node, and torchrun would end of it at once."""
    from submitit import JobEnvironment

    signal.signal(getattr(signal, f"SIG{JobEnvironment.USR_SIG}"), signal.SIG_IGN)
