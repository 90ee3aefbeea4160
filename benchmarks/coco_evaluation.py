#!/usr/bin/env python
"""Time the COCO evaluation of boxes: from predictions to AP, the reading of the json left out.

python benchmarks/coco_evaluation.py --write
python benchmarks/coco_evaluation.py --images 5000 --rounds 1
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import contextlib
import io
import sys
from collections.abc import Sequence

import numpy as np
import torch
from faster_coco_eval import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
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

CLASSES, OBJECTS, DETECTIONS = 80, 7, 100
WIDTH, HEIGHT = 640, 480
OURS, REFERENCE = "faster-coco-eval, which we take", "pycocotools"
TOLERANCE = 1e-12


def silence() -> contextlib.AbstractContextManager:
    return contextlib.redirect_stdout(io.StringIO())


def draw_boxes(random: np.random.Generator, count: int) -> np.ndarray:
    """xywh, small ones as often as large ones."""
    sizes = np.exp(random.uniform(np.log(8), np.log(300), (count, 2)))
    corners = random.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - sizes).clip(0)
    return np.concatenate([corners, sizes], 1)


def draw_truth(random: np.random.Generator, images: int) -> COCO:
    annotations = []
    for image in range(1, images + 1):
        for box in draw_boxes(random, random.integers(0, 2 * OBJECTS + 1)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(random.integers(1, CLASSES + 1)),
                    "bbox": box.tolist(),
                    "area": float(box[2] * box[3]),
                    "iscrowd": int(random.random() < 0.02),
                }
            )
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i, "width": WIDTH, "height": HEIGHT} for i in range(1, images + 1)],
        "categories": [{"id": c, "name": str(c)} for c in range(1, CLASSES + 1)],
        "annotations": annotations,
    }
    with silence():
        truth.createIndex()
    return truth


def draw_predictions(random: np.random.Generator, truth: COCO) -> list[dict]:
    """A hundred per image: every object, approximately, and false alarms."""
    predictions = []
    for image in truth.imgs:
        known = truth.imgToAnns[image]
        boxes = draw_boxes(random, DETECTIONS)
        classes = random.integers(1, CLASSES + 1, DETECTIONS)
        for place, annotation in enumerate(known):
            boxes[place] = np.array(annotation["bbox"]) * random.uniform(0.9, 1.1, 4)
            classes[place] = annotation["category_id"]
        scores = random.random(DETECTIONS)
        for box, label, score in zip(boxes.tolist(), classes.tolist(), scores, strict=True):
            found = {"image_id": image, "category_id": label, "bbox": box, "score": float(score)}
            predictions.append(found)
    return predictions


def evaluate(kind: type, truth: COCO, predictions: Sequence[dict]) -> np.ndarray:
    """Precisions for all thresholds, recalls, classes, sizes and limits."""
    with silence():
        run = kind(truth, truth.loadRes([dict(each) for each in predictions]), "bbox")
        run.evaluate()
        run.accumulate()
    return np.asarray(run.eval["precision"])


def main(arguments: list[str] | None = None) -> None:
    """Measures the sides, prints the table, and writes it if requested."""
    parser = run_parser(__doc__)
    parser.add_argument("--images", type=int, default=500, help="(500)")
    options = parse_run(parser, arguments)
    torch.set_num_threads(options.threads)
    random = np.random.default_rng(0)
    truth = draw_truth(random, 5 if options.smoke else options.images)
    predictions = draw_predictions(random, truth)
    kinds = {OURS: COCOeval_faster, REFERENCE: COCOeval}
    ours, theirs = (evaluate(kind, truth, predictions) for kind in kinds.values())
    if (difference := np.abs(ours - theirs).max()) > TOLERANCE:
        sys.exit(f"Precisions differ by {difference:g}.")
    sides = {
        name: lambda kind=kind: evaluate(kind, truth, predictions) for name, kind in kinds.items()
    }
    rows = versus(time_sides(sides, options), OURS, lambda peer: "at least 5")
    lines = [
        *describe_run(options.device),
        f"inputs: {len(truth.imgs)} images, {DETECTIONS} detections each, {CLASSES} classes; all "
        f"precisions agree to {difference:.0e}",
    ]
    publish("coco_evaluation", lines, [table(VERSUS_COLUMNS, [*rows])], options)


if __name__ == "__main__":
    main()
