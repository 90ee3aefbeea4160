"""Queue a training on a Slurm cluster, and again whenever it must leave its nodes.

hdetr-d2 submit output/mine/jobs --nodes 2 --gpus-per-node 8 --hours 24 --slurm partition=gpu
    -- --config-file CONFIG train.output_dir=output/mine

The arguments of `hdetr-d2 train` follow `--`. Every node runs one torchrun. Each time, the training
continues from its last checkpoint.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hdetr_d2.engine.torchrun_job import TorchrunJob
from hdetr_d2.errors import UserError

SAVING = 120
"""Number of seconds before the end of its time limit at which a job is told to save."""
TIMES = 1000
"""Number of times that a job may reach its time limit."""


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("folder", type=Path, help="folder for the job's logs, visible to all nodes")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument(
        "--gpus-per-node", type=int, default=1, help="GPUs per node, each with a process"
    )
    parser.add_argument(
        "--processes-per-node", type=int, help="processes per node, if not one per GPU"
    )
    parser.add_argument("--cpus-per-node", type=int, help="cores for all processes of a node")
    parser.add_argument("--hours", type=float, default=24, help="time limit of the job")
    parser.add_argument(
        "--max-restarts", type=int, default=3, help="restarts by torchrun within one run of the job"
    )
    parser.add_argument("--name", default="hdetr_d2", help="name of the job")
    parser.add_argument("--cluster", default="slurm", choices=("slurm", "local"))
    parser.add_argument(
        "--slurm",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="options of sbatch: partition=gpu qos=x",
    )
    parser.add_argument("training", nargs="+", help="arguments of hdetr-d2 train, after --")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    if min(args.nodes, args.hours) <= 0 or args.gpus_per_node < 0:
        parser.error("--nodes and --hours must be positive")
    try:
        job = submit(args)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"job {job.job_id}: its log will be {job.paths.stdout}")
    return 0


def submit(args: argparse.Namespace) -> Any:
    """Queues the training; returns the submitit job.

    Raises:
        UserError: submitit is not installed, or nothing can be queued.
    """
    try:
        import submitit
    except ImportError as error:
        raise UserError("submitit is missing: pip install 'hdetr_d2[slurm]'") from error
    processes = args.processes_per_node or args.gpus_per_node or 1
    job = TorchrunJob(resuming(args.training), processes, restarts=args.max_restarts)
    folder = args.folder.absolute()
    try:
        executor = submitit.AutoExecutor(
            folder / "%j", cluster=args.cluster, slurm_max_num_timeout=TIMES
        )
        executor.update_parameters(**parameters(args))
        return executor.submit(job)
    except (RuntimeError, OSError, ValueError) as error:
        raise UserError(f"nothing is queued: {' '.join(str(error).split())}") from error


def resuming(training: Sequence[str]) -> list[str]:
    return [*training] if "--resume" in training else ["--resume", *training]


def parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Parameters of submitit's executor."""
    given = dict(_pair(text) for text in args.slurm)
    cores = {"cpus_per_task": args.cpus_per_node} if args.cpus_per_node else {}
    # Newer versions of Slurm do not pass the cores of a job on to its steps.
    steps = {"slurm_srun_args": [f"--cpus-per-task={args.cpus_per_node}"]} if cores else {}
    return {
        "name": args.name,
        "nodes": args.nodes,
        "tasks_per_node": 1,
        "gpus_per_node": args.gpus_per_node or None,
        "timeout_min": max(1, round(60 * args.hours)),
        "stderr_to_stdout": True,
        "slurm_signal_delay_s": SAVING,
        "slurm_additional_parameters": {"requeue": True, **given},
        **cores,
        **steps,
    }


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UserError(f"--slurm {text}: an option of sbatch and its value, as partition=gpu")
    return key.lstrip("-"), value
