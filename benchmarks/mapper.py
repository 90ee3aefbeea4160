#!/usr/bin/env python
"""Time what makes a training example of a photograph on one thread: read, flip, resize, boxes.

python benchmarks/mapper.py --write
python benchmarks/mapper.py --size 1080 1920
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import itertools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from detectron2.structures import BoxMode
from PIL import Image
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
from torch.nn import functional as F
from torchvision.transforms import v2

from hdetr_d2.data import DetrMapper, RandomShortSide

try:
    import detectron2.data.transforms as T
    from detectron2.data import DatasetMapper
except ImportError:  # the stand-in has neither
    DatasetMapper = None

OURS, PEER = "DetrMapper", "Detectron2's DatasetMapper"
SIDES, LONGEST = [480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800], 1333
PHOTOS, OBJECTS = 20, 7


def draw_photos(folder: Path, height: int, width: int) -> list[dict]:
    """JPEGs that are neither smooth nor noise, and their entries in Detectron2's form."""
    rng = torch.Generator().manual_seed(0)
    entries = []
    for number in range(PHOTOS):
        layers = [torch.rand(1, 3, height // n, width // n, generator=rng) for n in (64, 16, 4)]
        photo = sum(F.interpolate(layer, (height, width), mode="bicubic") for layer in layers) / 3
        pixels = (photo[0].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
        file = folder / f"{number}.jpg"
        Image.fromarray(pixels).save(file, quality=90)
        corners = torch.rand(OBJECTS, 2, generator=rng) * 0.5
        boxes = torch.cat([corners, corners + 0.3], 1) * torch.tensor([width, height] * 2)
        annotations = [
            {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0, "iscrowd": 0}
            for box in boxes.tolist()
        ]
        entry = {"file_name": str(file), "image_id": number, "height": height, "width": width}
        entries.append({**entry, "annotations": annotations})
    return entries


def mappers() -> Mapping[str, Callable[[dict], object]]:
    found: dict[str, Callable[[dict], object]] = {}
    transforms = [v2.RandomHorizontalFlip(0.5), RandomShortSide(sides=SIDES, max_size=LONGEST)]
    mapper, positions = DetrMapper(augmentations=transforms), itertools.count()
    found[OURS] = lambda entry: mapper(entry, next(positions))
    if DatasetMapper is not None:
        theirs = [T.RandomFlip(), T.ResizeShortestEdge(SIDES, LONGEST, "choice")]
        found[PEER] = DatasetMapper(is_train=True, augmentations=theirs, image_format="RGB")
    return found


def sides(entries: list[dict]) -> dict[str, Side]:
    """For all photographs, one after the other."""
    return {
        name: lambda mapper=mapper: [mapper(entry) for entry in entries]
        for name, mapper in mappers().items()
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--size", nargs=2, type=int, default=(480, 640), metavar=("H", "W"))
    options = parse_run(parser, arguments)
    options.size = (128, 128) if options.smoke else options.size
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measures the sides, prints the table, and writes it if requested."""
    options = parse(arguments)
    torch.set_num_threads(1)  # as in a loader's worker
    with tempfile.TemporaryDirectory() as folder:
        times = time_sides(sides(draw_photos(Path(folder), *options.size)), options)
    height, width = options.size
    lines = [
        *describe_run(options.device),
        f"inputs: {PHOTOS} JPEGs of {height}x{width}, {OBJECTS} boxes each; the times are of all",
        f"ours: {PHOTOS / times[OURS].warm:.0f} photographs a second",
    ]
    rows = [*versus(times, OURS, lambda peer: "at least 1.5")]
    publish("mapper", lines, [table(VERSUS_COLUMNS, rows)], options)


if __name__ == "__main__":
    main()
