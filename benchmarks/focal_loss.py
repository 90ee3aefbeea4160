#!/usr/bin/env python
"""Time the sigmoid focal loss, forward and backward, against the expression with dense targets.

python benchmarks/focal_loss.py --write
python benchmarks/focal_loss.py --cases encoder --dtype bfloat16
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from prediction_cases import CLASSES, draw_case, prediction_parser, run_cases
from report import parse_run, time_sides, versus
from timing import Side
from torch import Tensor

from hdetr_d2.ops import sigmoid_focal_loss, sigmoid_focal_loss_reference

OURS = "ours"
TARGETS = 30
FORWARD, BOTH = "forward", "forward + backward"


def dense(logits: Tensor, labels: Tensor) -> Tensor:
    """As in public losses: a dense target, layer by layer."""

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


def measure(name: str, options: argparse.Namespace) -> Iterator[list[str]]:
    step = draw_case(name, 3 if options.smoke else TARGETS, options)
    for passes in (FORWARD, BOTH):
        sides = {key: side(function, step.logits, step.labels, passes)
                 for key, function in SIDES.items()}  # fmt: skip
        for row in versus(time_sides(sides, options), OURS, lambda peer: ""):
            yield [name, passes, *row]


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    options = parse_run(prediction_parser(__doc__), arguments)
    inputs = f"logits of {CLASSES} classes, {TARGETS} targets an image"
    run_cases("focal_loss", "sigmoid_focal_loss", inputs, "pass", measure, options)


if __name__ == "__main__":
    main()
