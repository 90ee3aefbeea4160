"""The predictions of a training step, for operators that read all logits of a query group."""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from assignment_cases import ENCODER, IMAGES, ONE2MANY, ONE2ONE, Group, trained
from report import VERSUS_COLUMNS, describe_run, publish, run_parser, table
from torch import Tensor

from hdetr_d2.ops.extension import why_no_kernel

CLASSES = 91
GROUPS: Mapping[str, Group] = {"one2one": ONE2ONE, "one2many": ONE2MANY, "encoder": ENCODER}


def prediction_parser(description: str | None) -> argparse.ArgumentParser:
    """The options of a benchmark on these predictions, including those common to all benchmarks."""
    parser = run_parser(description)
    parser.add_argument("--cases", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    return parser


@dataclass(frozen=True)
class Step:
    """Predictions of a group, [L, B, Q, K] and [L, B, Q, 4], and targets, [B, G] and [B, G, 4].

    labels: `Tensor[L, B, Q]`, what each query learns.
    """

    logits: Tensor
    boxes: Tensor
    target_labels: Tensor
    target_boxes: Tensor
    labels: Tensor


def draw(group: Group, targets: int, dtype: torch.dtype, device: str) -> Step:
    """Scores near the prior of a new head; the encoder's proposals have one class."""
    rng = torch.Generator().manual_seed(0)
    shape = (group.layers, IMAGES, group.queries)
    logits = (torch.randn(*shape, CLASSES, generator=rng) - 4).to(dtype)
    target_boxes = torch.rand(IMAGES, targets, 4, generator=rng) * 0.5 + 0.1
    boxes, _ = trained(target_boxes.repeat(group.layers, 1, 1), group.queries, rng)
    known = 1 if group is ENCODER else CLASSES
    target_labels = torch.randint(known, (IMAGES, targets), generator=rng)
    labels = torch.full(shape, -1)
    matched = min(targets * group.capacity, group.queries)
    chosen = torch.randint(known, (*shape[:2], matched), generator=rng)
    labels[..., :matched] = chosen
    tensors = (logits, boxes.view(*shape, 4), target_labels, target_boxes, labels)
    return Step(*(tensor.to(device) for tensor in tensors))


def draw_case(name: str, targets: int, options: argparse.Namespace) -> Step:
    """Those of a case, as configured by a run."""
    group = GROUPS[name].shrunk() if options.smoke else GROUPS[name]
    return draw(group, targets, getattr(torch, options.dtype), options.device)


def run_cases(
    benchmark: str,
    op: str,
    inputs: str,
    column: str,
    measure: Callable[[str, argparse.Namespace], Iterable[list[str]]],
    options: argparse.Namespace,
) -> None:
    """Measures the cases, prints the table, and writes it if requested.

    Args:
        op: the operator that is timed.
        inputs: its arguments in the dtype of the run, and others.
        column: distinguishes the rows of a case.
        measure: returns the rows of a case.
    """
    torch.set_num_threads(options.threads)
    missing = why_no_kernel(op, torch.device(options.device))
    lines = [
        *describe_run(options.device),
        f"inputs: {options.dtype} {inputs}",
        f"ours: {f'the twin. {missing}' if missing else 'the compiled op'}",
    ]
    rows = []
    for name in options.cases:
        rows += measure(name, options)
        print(f"measured: {name}", file=sys.stderr, flush=True)
    publish(benchmark, lines, [table(["case", column, *VERSUS_COLUMNS], rows)], options)
