"""Masks of all detections of a large photo, from the logits of the mask head to run lengths as they
stand in `predictions.json`: time, and memory of the process at its peak.
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import multiprocessing
import resource
import time
from collections.abc import Sequence
from typing import cast

import numpy as np
import pycocotools.mask as mask_utils
import torch
import torch.nn.functional as F
from detectron2.structures import Boxes, Instances
from report import describe_run, parse_run, publish, run_parser, table
from torch import Tensor

from hdetr_d2.modeling.mask_head import MaskHead
from hdetr_d2.modeling.segmentation import add_masks
from hdetr_d2.structures import ImageMaps, Memory, Outline, Predictions

Size = tuple[int, int]


class Ellipses(torch.nn.Module):
    """Replaces a mask head: an ellipse with a wavy edge for each query."""

    upsample = MaskHead.upsample

    def forward(self, states: Tensor, maps: ImageMaps) -> Tensor:
        """Logits `Tensor[1, N, h, w]` at stride 4, from `Tensor[1, N, 3]` in [0, 1]."""
        top, left, radius = states[0, :, :, None, None].unbind(1)
        y = torch.linspace(0, 1, maps.size[0] // 4, device=states.device)[:, None] - top
        x = torch.linspace(0, 1, maps.size[1] // 4, device=states.device) - left
        waves = 1 + 0.1 * torch.sin(9 * torch.atan2(y, x))
        return ((0.05 + 0.2 * radius) * waves - torch.hypot(y, x))[None] * 50


def detections(count: int, fed: Size, size: Size, device: str) -> Instances:
    """The detections of one image, with their masks."""
    rng = torch.Generator().manual_seed(0)
    states = torch.rand(1, count, 3, generator=rng).to(device)
    found = Instances(size, pred_boxes=Boxes(torch.zeros(count, 4, device=device)))
    found.scores = torch.rand(count, generator=rng).to(device)
    found.pred_queries = torch.arange(count, device=device)
    level = torch.zeros(1, 1, 1, 1, device=device)
    maps = ImageMaps({}, [level], Memory(level, level, ((1, 1),), level), fed, [fed], [fed])
    predictions, outline = Predictions(level, level, states), Outline(0, 0, fed[1], fed[0])
    add_masks([{"instances": found}], cast(MaskHead, Ellipses()), predictions, maps, [outline])
    return found


def ours(found: Instances) -> list[dict]:
    best = found.to("cpu")[found.scores.cpu().argsort(descending=True)]
    return best.pred_masks.rles()


def bitmaps(found: Instances) -> list[dict]:
    """Pastes all masks, then encodes each."""
    small = found.pred_masks.small.to(torch.uint8)
    found.pred_masks = torch.cat(
        [F.interpolate(m[None], found.image_size)[0].bool() for m in small.split(20)]
    )
    best = found.to("cpu")[found.scores.cpu().argsort(descending=True)]
    masks = [np.asfortranarray(mask.numpy(), dtype=np.uint8) for mask in best.pred_masks]
    return [{**r, "counts": r["counts"].decode()} for r in map(mask_utils.encode, masks)]


SIDES = {"ours": ours, "bitmaps": bitmaps}


def measure(side: str, options: argparse.Namespace) -> tuple[float, float, list[dict]]:
    """Seconds, gigabytes in addition to those at the start, and run lengths."""
    torch.set_num_threads(options.threads)
    small = ((80, 107), (300, 400), 5)
    fed, size, count = small if options.smoke else ((800, 1066), (3000, 4000), 100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.inference_mode():
        found = detections(count, fed, size, options.device)
        start = time.perf_counter()
        rles = SIDES[side](found)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return seconds, (peak - before) / 2**20, rles


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_run(run_parser(__doc__), arguments)
    torch.set_num_threads(options.threads)
    lines = describe_run(options.device)
    # The peak is per process: each side has its own.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        results = {side: pool.apply(measure, (side, options)) for side in SIDES}
    own = results["ours"]
    if any(rles != own[2] for _, _, rles in results.values()):
        lines.append("**the run lengths of a side are not ours**")
    rows = [
        [side, f"{seconds:.2f}", f"{memory:.2f}", f"{seconds / own[0]:.1f}"]
        for side, (seconds, memory, _) in results.items()
    ]
    publish("masks_of_photo", lines, [table(["side", "s", "GB more", "ratio"], rows)], options)


if __name__ == "__main__":
    main()
