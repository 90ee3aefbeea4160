#!/usr/bin/env python
"""Time the matching cost against the expressions that matchers in public have.

python benchmarks/matching_cost.py --write
python benchmarks/matching_cost.py --cases encoder --targets 30 --dtype bfloat16
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import sys
from collections.abc import Callable

import torch
from prediction_cases import CLASSES, GROUPS, Step, add_prediction_options, draw
from report import VERSUS_COLUMNS, describe_run, parse_run, publish, table, versus
from timing import Effort, Side, clock_for, compare
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou

from hdetr_d2.ops import CostWeights, FocalCost, matching_cost, matching_cost_reference
from hdetr_d2.ops.extension import why_no_kernel

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
    """Layer by layer, every query with the targets of all images, all classes of a query."""
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


def measure(name: str, targets: int, options: argparse.Namespace) -> list[list[str]]:
    group = GROUPS[name].shrunk() if options.smoke else GROUPS[name]
    step = draw(group, targets, getattr(torch, options.dtype), options.device)
    sides = {
        OURS: ours(step, matching_cost),
        TWIN: ours(step, matching_cost_reference),
        OFFICIAL: official(step),
    }
    effort = Effort(1, 0.0) if options.smoke else Effort(options.rounds)
    times = compare(sides, clock_for(options.device), effort)
    asked = (name, targets, options.device) == ("encoder", 30, "cpu")
    rows = versus(times, OURS, lambda peer: REQUIRED if asked and peer == OFFICIAL else "")
    return [[name, str(targets), *row] for row in rows]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--targets", nargs="+", type=int, default=[7, 30, 100], help="an image has")
    add_prediction_options(parser)
    return parse_run(parser, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure the cases, print the table, and write it where asked."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    missing = why_no_kernel("matching_cost", torch.device(options.device))
    lines = [
        *describe_run(options.device),
        f"inputs: {options.dtype} logits of {CLASSES} classes, float32 boxes, focal cost",
        f"ours: {f'the twin. {missing}' if missing else 'the compiled op'}",
    ]
    rows = []
    for name in options.cases:
        for targets in [3] if options.smoke else options.targets:
            rows += measure(name, targets, options)
            print(f"measured: {name}, {targets}", file=sys.stderr, flush=True)
    result = table(["case", "targets", *VERSUS_COLUMNS], rows)
    publish("matching_cost", lines, [result], options)


if __name__ == "__main__":
    main()
