#!/usr/bin/env python
"""Time the losses of boxes, forward and backward, against the functions that others have.

python benchmarks/box_losses.py --write
python benchmarks/box_losses.py --cases one2many
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Callable, Iterator

import torch
from assignment_cases import IMAGES
from prediction_cases import Step, draw_case, prediction_parser, run_cases
from report import parse_run, time_sides, versus
from timing import Side
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou_loss

from hdetr_d2.ops import box_losses, box_losses_reference

OURS = "ours"
TARGETS = 30
FORWARD, BOTH = "forward", "forward + backward"


def layer_by_layer(boxes: Tensor, truth: Tensor, index: Tensor) -> Tensor:
    """As in public criteria: the matched queries of each layer are selected."""

    def loss_of_layer(boxes: Tensor, truth: Tensor, index: Tensor) -> Tensor:
        image, query = (index >= 0).nonzero(as_tuple=True)
        found, wanted = boxes[image, query], truth[image, index[image, query]]
        corners = (box_convert(each, "cxcywh", "xyxy") for each in (found, wanted))
        distance = (found - wanted).abs().sum()
        return torch.stack([distance, generalized_box_iou_loss(*corners, reduction="sum")])

    problems = (each.split(IMAGES) for each in (boxes, truth, index))
    return torch.stack([loss_of_layer(*layer) for layer in zip(*problems, strict=True)])


SIDES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    OURS: box_losses,
    "our PyTorch twin": box_losses_reference,
    "torchvision's, layer by layer": layer_by_layer,
}


def problems_of(step: Step) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, targets and index; the matched queries of an image cycle through its targets."""
    layers = len(step.labels)
    index = torch.arange(step.labels.shape[2], device=step.labels.device) % TARGETS
    index = torch.where(step.labels >= 0, index.clamp(max=step.target_boxes.shape[1] - 1), -1)
    truth = step.target_boxes.repeat(layers, 1, 1)
    boxes = step.boxes.flatten(0, 1).to(step.logits.dtype)
    return boxes, truth, index.flatten(0, 1)


def side(function: Callable, given: tuple[Tensor, Tensor, Tensor], passes: str) -> Side:
    if passes == FORWARD:
        return lambda: function(*given)
    leaf, *others = given[0].detach().requires_grad_(), *given[1:]
    return lambda: torch.autograd.grad(function(leaf, *others).sum(), leaf)


def measure(name: str, options: argparse.Namespace) -> Iterator[list[str]]:
    given = problems_of(draw_case(name, 3 if options.smoke else TARGETS, options))
    for passes in (FORWARD, BOTH):
        sides = {key: side(function, given, passes) for key, function in SIDES.items()}
        for row in versus(time_sides(sides, options), OURS, lambda peer: ""):
            yield [name, passes, *row]


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    options = parse_run(prediction_parser(__doc__), arguments)
    inputs = f"boxes, {TARGETS} targets an image"
    run_cases("box_losses", "box_losses", inputs, "pass", measure, options)


if __name__ == "__main__":
    main()
