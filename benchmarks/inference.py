#!/usr/bin/env python
"""Time the detection of objects in images that are there: from pixels to boxes, without loading.

python benchmarks/inference.py --write
python benchmarks/inference.py --size 800 1066 --against COMMIT
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import torch
from against import add_against_option, again, built, serve, served
from inference_peers import TRANSFORMERS, transformers_side
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
from train_step_sides import CLASSES, draw_batch

from hdetr_d2.engine.build import build
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.shipped import shipped_config
from hdetr_d2.modeling.backbone import without_pretrained
from hdetr_d2.ops.extension import why_no_kernel

RECIPE = "deformable_detr/deformable_detr_two_stage_r50_50ep.py"
SMOKE_RECIPE = "quickstart/deformable_detr_shapes.py"
OURS, OURS_16 = "ours", "ours, bfloat16"
REQUIRED = {TRANSFORMERS: "at least 2.8"}


def our_side(options: argparse.Namespace, images: list[Tensor], dtype: torch.dtype) -> Side:
    """As in `Predictor`, in float32 or under autocast."""
    cfg = load_config(shipped_config(options.recipe), [f"data.num_classes={CLASSES}"])
    with without_pretrained():
        model = build(cfg, "model").to(options.device).eval()
    if folds := getattr(model, "fold_norms", None):  # missing in earlier commits
        folds(dtype)
    inputs = [{"image": image} for image in images]
    lower = dtype != torch.float32

    def detect() -> None:
        with torch.inference_mode(), torch.autocast(options.device, dtype, enabled=lower):
            model(inputs)

    return detect


def sides(options: argparse.Namespace, images: list[Tensor]) -> Iterator[tuple[str, Side]]:
    yield OURS, our_side(options, images, torch.float32)
    yield OURS_16, our_side(options, images, torch.bfloat16)
    if theirs := transformers_side(images, CLASSES, options.device, options.smoke):
        yield TRANSFORMERS, theirs


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--recipe", default=RECIPE, help="of ours; the peer has its sizes")
    parser.add_argument("--images", type=int, default=1, help="of the batch (1)")
    parser.add_argument("--size", nargs=2, type=int, default=(480, 640), metavar=("H", "W"))
    add_against_option(parser)
    options = parse_run(parser, arguments)
    if options.smoke:
        options.recipe, options.size = SMOKE_RECIPE, (64, 64)
    return options


def measure(options: argparse.Namespace, images: list[Tensor]) -> None:
    found: Mapping[str, Side] = dict(sides(options, images))
    with ExitStack() as stack:
        if options.against:
            other = stack.enter_context(built(options.against))
            found = {**found, options.against: stack.enter_context(served(again("--serve"), other))}
        times = time_sides(found, options)
    height, width = options.size
    lines = [
        *describe_run(options.device),
        f"batch: {options.images} of {height}x{width}, {CLASSES} classes, random weights, "
        f"{options.recipe}",
        f"ours: {why_no_kernel('ms_deform_attn', torch.device(options.device)) or 'compiled ops'}",
    ]
    rows = [*versus(times, OURS, lambda peer: REQUIRED.get(peer, ""))]
    publish("inference", lines, [table(VERSUS_COLUMNS, rows)], options)


def main(arguments: list[str] | None = None) -> None:
    """Measures the sides, prints the table, and writes it if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    images = draw_batch(options.images, *options.size, targets=0).images
    if options.serve is not None:
        serve(our_side(options, images, torch.float32))
    else:
        measure(options, images)


if __name__ == "__main__":
    main()
