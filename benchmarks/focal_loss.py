#!/usr/bin/env python
"""Time the sigmoid focal loss, forward and backward, against the expression with dense targets.

python benchmarks/focal_loss.py --write
python benchmarks/focal_loss.py --cases encoder --dtype bfloat16
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from prediction_cases import CLASSES, GROUPS, add_prediction_options, draw
from report import VERSUS_COLUMNS, describe_run, parse_run, publish, table, versus
from timing import Effort, Side, clock_for, compare
from torch import Tensor

from hdetr_d2.ops import sigmoid_focal_loss, sigmoid_focal_loss_reference
from hdetr_d2.ops.extension import why_no_kernel

OURS = "ours"
TARGETS = 30
FORWARD, BOTH = "forward", "forward + backward"


def dense(logits: Tensor, labels: Tensor) -> Tensor:
    """As losses in public have it: a target for every logit, and layer by layer."""

    def loss_of_layer(logits: Tensor, labels: Tensor) -> Tensor:
        classes = logits.shape[-1]
        hot = torch.zeros(*labels.shape, classes + 1, dtype=logits.dtype, device=logits.device)
        hot.scatter_(-1, torch.where(labels < 0, classes, labels)[..., None], 1)
        hot = hot[..., :-1]
        score = logits.sigmoid()
        entropy = F.binary_cross_entropy_with_logits(logits, hot, reduction="none")
        right = score * hot + (1 - score) * (1 - hot)
        share = 0.25 * hot + 0.75 * (1 - hot)
        return (share * entropy * (1 - right) ** 2).mean(1).sum() * logits.shape[1]

    layers = zip(logits.float(), labels, strict=True)
    return torch.stack([loss_of_layer(*layer) for layer in layers])


SIDES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    OURS: sigmoid_focal_loss,
    "our PyTorch twin": sigmoid_focal_loss_reference,
    "dense targets": dense,
}


def side(function: Callable, logits: Tensor, labels: Tensor, passes: str) -> Side:
    if passes == FORWARD:
        return lambda: function(logits, labels)
    leaf = logits.detach().requires_grad_()
    return lambda: torch.autograd.grad(function(leaf, labels).sum(), leaf)


def measure(name: str, options: argparse.Namespace) -> list[list[str]]:
    group = GROUPS[name].shrunk() if options.smoke else GROUPS[name]
    step = draw(group, 3 if options.smoke else TARGETS, getattr(torch, options.dtype),
                options.device)  # fmt: skip
    effort = Effort(1, 0.0) if options.smoke else Effort(options.rounds)
    rows = []
    for passes in (FORWARD, BOTH):
        sides = {key: side(function, step.logits, step.labels, passes)
                 for key, function in SIDES.items()}  # fmt: skip
        times = compare(sides, clock_for(options.device), effort)
        rows += [[name, passes, *row] for row in versus(times, OURS, lambda peer: "")]
    return rows


def parse(arguments: list[str] | None) -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    add_prediction_options(parser)
    return parse_run(parser, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure the cases, print the table, and write it where asked."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    missing = why_no_kernel("sigmoid_focal_loss", torch.device(options.device))
    lines = [
        *describe_run(options.device),
        f"inputs: {options.dtype} logits of {CLASSES} classes, {TARGETS} targets an image",
        f"ours: {f'the twin. {missing}' if missing else 'the compiled op'}",
    ]
    rows = []
    for name in options.cases:
        rows += measure(name, options)
        print(f"measured: {name}", file=sys.stderr, flush=True)
    result = table(["case", "pass", *VERSUS_COLUMNS], rows)
    publish("focal_loss", lines, [result], options)


if __name__ == "__main__":
    main()
