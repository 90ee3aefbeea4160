#!/usr/bin/env python
"""Time the matching cost against the expressions that matchers in public have.

python benchmarks/matching_cost.py --write
python benchmarks/matching_cost.py --cases encoder --targets 30 --dtype bfloat16
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import torch
from prediction_cases import CLASSES, Step, draw_case, prediction_parser, run_cases
from report import parse_run, time_sides, versus
from timing import Side
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou

from hdetr_d2.ops import CostWeights, FocalCost, matching_cost, matching_cost_reference

OURS, TWIN, OFFICIAL = "ours", "our PyTorch twin", "official expressions"
REQUIRED = "at least 4"


def ours(step: Step, function: Callable) -> Side:
    targets = step.target_labels
    counts = torch.full((len(targets),), targets.shape[1], device=targets.device)
    logits, boxes = step.logits.flatten(0, 1), step.boxes.flatten(0, 1)
    arguments = (logits, boxes, targets, step.target_boxes, counts)
    form = dict(class_cost=FocalCost(), weights=CostWeights(2.0, 5.0, 2.0))
    return lambda: function(*arguments, **form)


def official(step: Step) -> Side:
    """Layer by layer, every query with the targets of all images, for all classes."""
    labels, truth = step.target_labels.flatten(), step.target_boxes.flatten(0, 1)

    def cost_of_layer(logits: Tensor, boxes: Tensor) -> Tensor:
        score = logits.flatten(0, 1).sigmoid()
        boxes = boxes.flatten(0, 1)
        negative = 0.75 * score**2 * -(1 - score + 1e-8).log()
        positive = 0.25 * (1 - score) ** 2 * -(score + 1e-8).log()
        classes = positive[:, labels] - negative[:, labels]
        distance = torch.cdist(boxes, truth, p=1)
        corners = (box_convert(each, "cxcywh", "xyxy") for each in (boxes, truth))
        return 2 * classes + 5 * distance - 2 * generalized_box_iou(*corners)

    return lambda: [cost_of_layer(*layer) for layer in zip(step.logits, step.boxes, strict=True)]


def measure(name: str, options: argparse.Namespace) -> Iterator[list[str]]:
    for targets in [3] if options.smoke else options.targets:
        step = draw_case(name, targets, options)
        sides = {
            OURS: ours(step, matching_cost),
            TWIN: ours(step, matching_cost_reference),
            OFFICIAL: official(step),
        }
        asked = (name, targets, options.device) == ("encoder", 30, "cpu")
        for row in versus(time_sides(sides, options), OURS, partial(_required, asked)):
            yield [name, str(targets), *row]


def _required(asked: bool, peer: str) -> str:
    return REQUIRED if asked and peer == OFFICIAL else ""


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    parser = prediction_parser(__doc__)
    parser.add_argument("--targets", nargs="+", type=int, default=[7, 30, 100], help="an image has")
    options = parse_run(parser, arguments)
    inputs = f"logits of {CLASSES} classes, float32 boxes, focal cost"
    run_cases("matching_cost", "matching_cost", inputs, "targets", measure, options)


if __name__ == "__main__":
    main()
