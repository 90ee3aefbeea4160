#!/usr/bin/env python
"""Time what picks the detections of a batch from the scores and boxes of its queries.

python benchmarks/picks.py --write
python benchmarks/picks.py --queries 900 --batch 8
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Mapping

import torch
from report import (
    VERSUS_COLUMNS,
    describe_run,
    parse_run,
    publish,
    run_parser,
    table,
    time_sides,
    versus,
)
from timing import Side
from torch import Tensor
from torchvision.ops import batched_nms

from hdetr_d2.modeling import BestPairs, NMSPairs, SoftNMSPairs
from hdetr_d2.ops import box_cxcywh_to_xyxy

OURS = "NMSPairs"
CLASSES, SELECTED, IOU = 80, 100, 0.7


def draw(batch: int, queries: int, device: str) -> tuple[Tensor, Tensor]:
    """Scores `Tensor[B, Q, K]` and boxes `Tensor[B, Q, 4]` cxcywh, a tenth of the boxes separate
    and the others around these.
    """
    rng = torch.Generator().manual_seed(0)
    apart = torch.rand(batch, max(1, queries // 10), 4, generator=rng) * 0.5 + 0.1
    boxes = apart.repeat(1, 10, 1)[:, :queries]
    boxes = boxes + 0.01 * torch.randn(boxes.shape, generator=rng)
    scores = (torch.randn(*boxes.shape[:2], CLASSES, generator=rng) - 4).sigmoid()
    return scores.to(device), boxes.clamp(0.01, 1).to(device)


def in_a_loop(scores: Tensor, boxes: Tensor) -> list[Tensor]:
    """Torchvision's, image by image, for as many pairs as there are queries."""
    images = zip(*BestPairs()(scores, boxes, boxes.shape[1]), boxes, strict=True)
    return [
        batched_nms(box_cxcywh_to_xyxy(own[queries]), best, labels, IOU)[:SELECTED]
        for best, labels, queries, own in images
    ]


def sides(scores: Tensor, boxes: Tensor) -> Mapping[str, Side]:
    return {
        OURS: lambda: NMSPairs(iou_threshold=IOU)(scores, boxes, SELECTED),
        "BestPairs: no suppression": lambda: BestPairs()(scores, boxes, SELECTED),
        "SoftNMSPairs": lambda: SoftNMSPairs()(scores, boxes, SELECTED),
        "torchvision's batched_nms in a loop": lambda: in_a_loop(scores, boxes),
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--queries", type=int, nargs="+", default=[300, 900], help="(300, 900)")
    parser.add_argument("--batch", type=int, default=1, help="images (1)")
    return parse_run(parser, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    lines = [
        *describe_run(options.device),
        f"inputs: scores of {CLASSES} classes; images: {options.batch}, detections: {SELECTED}",
    ]
    rows = []
    for queries in [20] if options.smoke else options.queries:
        times = time_sides(sides(*draw(options.batch, queries, options.device)), options)
        rows += [[str(queries), *row] for row in versus(times, OURS, lambda peer: "")]
    publish("picks", lines, [table(["queries", *VERSUS_COLUMNS], rows)], options)


if __name__ == "__main__":
    main()
