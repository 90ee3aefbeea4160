#!/usr/bin/env python
"""What tiles find on large images that one look at the whole image misses, and what they cost.

python benchmarks/tiles.py --checkpoint output/quickstart/model_final.pth --write

Large images are made of validation images of the generated shapes, placed side by side, so that the
checkpoint knows them.
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from itertools import product
from pathlib import Path

import numpy as np
from exported_run import our_detector
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from report import describe_run, parse_run, publish, run_parser, table

from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.runtime import Shapes, coco_results
from hdetr_d2.runtime.predictor import Detector
from hdetr_d2.runtime.tiles import TiledDetector

RECIPE = "quickstart/deformable_detr_shapes.py"
SIDE, ROW = 128, 16  # pixels of an image of the shapes, and images per row
WHOLE = 512
SCORE, IOU = 0.3, 0.5
OVERLAP, BATCH = 0.25, 16
MOST = 10_000  # detections that count
COLUMNS = ("looked at", "small objects found, %", "medium ones, %", "detections", "s an image")
COLUMNS += ("ratio of the times",)


def draw(folder: Path, images: int, row: int) -> tuple[list[np.ndarray], COCO]:
    """Large images uint8 [H, W, 3] of `row` times `row` shapes, and their ground truth."""
    root = str(folder / "shapes")
    generate_shapes(root=root, num_train=1, num_val=images * row * row, image_size=SIDE)
    with redirect_stdout(StringIO()):
        parts, large = COCO(f"{root}/annotations/val.json"), COCO()
    pictures, objects = [], []
    known = iter(sorted(parts.imgs.values(), key=lambda image: image["id"]))
    for number in range(1, images + 1):
        picture = np.zeros((row * SIDE, row * SIDE, 3), np.uint8)
        for top, left in product(range(0, row * SIDE, SIDE), repeat=2):
            image = next(known)
            part = np.asarray(Image.open(f"{root}/val/{image['file_name']}"))
            picture[top : top + SIDE, left : left + SIDE] = part
            for own in parts.imgToAnns[image["id"]]:
                x, y, *size = own["bbox"]
                moved = {"bbox": [x + left, y + top, *size], "image_id": number}
                objects.append({**own, **moved, "id": len(objects) + 1})
        pictures.append(picture)
    ids = [{"id": number} for number in range(1, images + 1)]
    large.dataset = {**parts.dataset, "images": ids, "annotations": objects}
    with redirect_stdout(StringIO()):
        large.createIndex()
    return pictures, large


class Reduced:
    """Downscales an image to a longer side of `WHOLE` pixels."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.class_names = detector.class_names
        self.image_format = detector.image_format

    def read(self, entry: dict) -> dict:
        return entry

    def find(self, batch: Sequence[dict]) -> list[Shapes]:
        (entry,) = batch
        size = min(WHOLE, len(entry["image"]))
        small = np.array(Image.fromarray(entry["image"]).resize((size, size)))
        (found,) = self.detector.find([self.detector.read({**entry, "image": small})])
        boxes = found.boxes * (len(entry["image"]) / size)
        return [Shapes(boxes, found.classes, found.scores)]


def judge(found: Sequence[Shapes], truth: COCO) -> list[str]:
    """Fractions of the small and medium objects that are found, and the number of detections."""
    names = [truth.cats[number]["name"] for number in sorted(truth.cats)]
    results = [
        result
        for number, shapes in enumerate(found, start=1)
        for result in coco_results(shapes.above(SCORE), names, image_id=number, file_name=None)
    ]
    if not results:
        return ["0.0", "0.0", "0"]
    with redirect_stdout(StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array([IOU]), [MOST]
        evaluation.evaluate()
        evaluation.accumulate()
    recall = evaluation.eval["recall"][0, :, :, 0]  # by class and size
    sizes = evaluation.params.areaRngLbl
    shares = [100 * recall[:, sizes.index(size)].mean() for size in ("small", "medium")]
    return [*(f"{share:.1f}" for share in shares), str(len(results))]


def measure(options: argparse.Namespace) -> list[list[str]]:
    detector = our_detector(options)
    ways: dict[str, Detector] = {
        f"the whole, made smaller to {WHOLE}": Reduced(detector),
    }
    for side in options.tiles:
        name = f"tiles of {side}"
        ways[name] = TiledDetector(detector, side=side, overlap=OVERLAP, batch_size=BATCH)
    with tempfile.TemporaryDirectory() as folder:
        pictures, truth = draw(Path(folder), options.images, options.row)
    rows: list[list[str]] = []
    seconds: list[float] = []
    for name, way in ways.items():
        start = time.perf_counter()
        inputs = ({"file_name": "", "image": picture} for picture in pictures)
        found = [way.find([way.read(each)])[0] for each in inputs]
        seconds.append((time.perf_counter() - start) / len(pictures))
        took = f"{seconds[-1]:.1f}", f"{seconds[-1] / seconds[0]:.0f}"
        rows.append([name, *judge(found, truth), *took])
    return rows


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--checkpoint", help="of the quickstart (default: random weights)")
    parser.add_argument("--images", type=int, default=4, help="large ones (4)")
    parser.add_argument("--tiles", type=int, nargs="+", default=[128, 256, 512])
    options = parse_run(parser, arguments)
    options.recipe, options.row = RECIPE, ROW
    if options.smoke:
        options.images, options.row, options.tiles = 1, 2, [128]
    return options


def main(arguments: list[str] | None = None) -> None:
    """Processes the images in every way, prints the table, and writes it if requested."""
    options = parse(arguments)
    side = options.row * SIDE
    lines = [
        *describe_run(options.device),
        f"inputs: {options.images} images of {side}x{side}; found: IoU {IOU}, score from {SCORE}; "
        f"tiles overlap by {OVERLAP}, {BATCH} in a forward pass",
    ]
    publish("tiles", lines, [table(COLUMNS, measure(options))], options)


if __name__ == "__main__":
    main()
