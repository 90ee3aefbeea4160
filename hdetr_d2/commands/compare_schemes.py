"""Train the same model under several schemes, and report the results and the cost of each.

hdetr-d2 compare-schemes output/compare_schemes --seeds 0 1 2

The config lists the schemes in its node `contenders`; everything else is the same for all of them.
It may list several conditions in `conditions`, by name, each with the options that it replaces: all
schemes are then compared under each condition. If started again with the same output folder, it
continues where it was stopped.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from tabulate import tabulate

from hdetr_d2.engine.config import config_text, load_config, save_config
from hdetr_d2.errors import UserError
from hdetr_d2.visualization import Runs, plot_comparison, plot_conditions, read_metrics, values_of

CONFIG = "quickstart/compare_schemes_shapes.py"
# Name in the `bbox` metrics -> column of the table.
RESULTS = {"AP": "AP", "AP50": "AP50", "AP_nms": "AP with NMS", "AR": "AR", "doubles": "doubles, %"}
COLUMNS = ("scheme", *RESULTS.values(), "ms/iteration", "peak memory, MB")


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "output", type=Path, help="folder for the runs, table.md, runs.csv and ap.png"
    )
    parser.add_argument("--config-file", default=CONFIG, help="config with a node `contenders`")
    parser.add_argument("--schemes", nargs="+", help="contenders to train (default: all)")
    parser.add_argument("--conditions", nargs="+", help="conditions to train under (default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="overrides of the config"
    )
    parser.add_argument(
        "--at-once", type=int, default=1, help="number of runs that share the CPU's cores"
    )
    return parser


def train(cfg: DictConfig, threads: int) -> list[dict[str, float]]:
    """Trains in a separate process, so that memory is measured separately, and returns the metrics
    of the run. A run that has completed with this config is not repeated.

    Raises:
        UserError: the run failed; its log is in the folder.
    """
    folder = Path(cfg.train.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.with_suffix(".yaml")
    before = path.read_text() if path.is_file() else None
    if not (folder / "model_final.pth").is_file() or before != config_text(cfg):
        save_config(cfg, path)
        command = [sys.executable, "-m", "hdetr_d2", "train", "--resume"]
        command += ["--config-file", str(path)]
        if subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}).returncode:
            raise UserError(f"the run in {folder} failed")
    return read_metrics(folder / "metrics.json")


def replace(cfg: DictConfig, options: DictConfig) -> None:
    """Replaces options, either nodes or values, given by dotted names.

    Raises:
        UserError: such an option does not exist.
    """
    written: Any = OmegaConf.to_container(options, resolve=False)
    for key, value in written.items():
        group, _, name = key.rpartition(".")
        if name not in ((OmegaConf.select(cfg, group) if group else cfg) or ()):
            raise UserError(f"a condition replaces {key}, which the config does not have")
        OmegaConf.update(cfg, key, value, merge=False)


def run_all(
    args: argparse.Namespace, names: Sequence[str], conditions: Sequence[str]
) -> Mapping[str, Runs]:
    """The metrics of each contender for each seed, under each condition. Seeds are the outermost
    loop, so that an interrupted comparison covers all contenders.
    """
    threads = max(1, torch.get_num_threads() // args.at_once)

    def configured(seed: int, condition: str, name: str) -> DictConfig:
        cfg = load_config(args.config_file, args.set)
        if condition:
            replace(cfg, cfg.conditions[condition])
        cfg.model.schemes = cfg.contenders[name]
        cfg.train.seed = seed
        cfg.train.output_dir = str(args.output / condition / name / f"seed_{seed}")
        return cfg

    cfgs = {which: configured(*which) for which in product(args.seeds, conditions, names)}
    with ThreadPoolExecutor(args.at_once) as pool:
        metrics = pool.map(lambda cfg: train(cfg, threads), cfgs.values())
        done = dict(zip(cfgs, metrics, strict=True))
    return {
        condition: {name: [done[seed, condition, name] for seed in args.seeds] for name in names}
        for condition in conditions
    }


def chosen(cfg: DictConfig, node: str, names: Sequence[str] | None) -> list[str]:
    """The requested members of the config's node; all members if none are requested.

    Raises:
        UserError: one of them does not exist.
    """
    there = list(cfg.get(node, ()))
    unknown = sorted(set(names or ()) - set(there))
    if unknown:
        raise UserError(f"the config has no {node} {unknown}, it has {there}")
    return list(names or there)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean, and standard deviation if there are several values; empty if there are none."""
    if not values:
        return ""
    text = f"{statistics.fmean(values):.{digits}f}"
    return f"{text} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


def quick(times: Sequence[float]) -> float:
    """The 10 % quantile of the times, which is hardly affected by other load on the machine."""
    return sorted(times)[len(times) // 10]


def row_of(name: str, runs: Sequence[Sequence[Mapping[str, float]]]) -> list[str]:
    """One row of the table."""
    results = [spread([v[-1] for v in values_of(runs, f"bbox/{kind}")]) for kind in RESULTS]
    times = [1000 * quick(values) for values in values_of(runs, "time")]
    memory = [max(values) for values in values_of(runs, "memory/peak_mb")]
    return [name, *results, spread(times), spread(memory, 0)]


def write_runs(path: Path, runs: Mapping[str, Runs], seeds: Sequence[int]) -> None:
    """Writes the result of each run as one row: a later comparison with more seeds can continue
    from it.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["condition", "scheme", "seed", *RESULTS])
        for condition, of_condition in runs.items():
            for name, of_seeds in of_condition.items():
                for seed, run in zip(seeds, of_seeds, strict=True):
                    ends = [values_of([run], f"bbox/{kind}") for kind in RESULTS]
                    last = [f"{values[0][-1]:.3f}" if values else "" for values in ends]
                    rows.writerow([condition, name, seed, *last])


def write(output: Path, runs: Mapping[str, Runs], seeds: Sequence[int]) -> str:
    """Writes the table, the list and the plots of all conditions; returns the table."""
    several = len(runs) > 1
    rows = [
        [*([condition] if several else []), *row_of(name, of_seeds)]
        for condition, of_condition in runs.items()
        for name, of_seeds in of_condition.items()
    ]
    columns = ("condition", *COLUMNS) if several else COLUMNS
    table = tabulate(rows, columns, tablefmt="github", disable_numparse=True)
    of = "Mean and deviation of the seeds" if len(seeds) > 1 else "Of the seed"
    (output / "table.md").write_text(f"{table}\n\n{of} {', '.join(map(str, seeds))}.\n")
    write_runs(output / "runs.csv", runs, seeds)
    for condition, of_condition in runs.items():
        plot_comparison(of_condition, output / condition / "ap.png")
    if several:
        plot_conditions(runs, output / "conditions.png")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    if args.at_once < 1:
        parser.error(f"--at-once {args.at_once} must be at least 1")
    try:
        cfg = load_config(args.config_file, args.set)
        names = chosen(cfg, "contenders", args.schemes)
        if not names:
            raise UserError(f"{args.config_file} has no contenders")
        among = chosen(cfg, "conditions", args.conditions)
        runs = run_all(args, names, among or [""])
    except (UserError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(write(args.output, runs, args.seeds))
    return 0
