#!/bin/bash
# faster-coco-eval 1.8.0 (pycocotools 2.0.11, numpy 2.4.6): images whose ids lie beyond 2^53 and close to each other are one
# image to it. What was found in one of them counts as found in the other, and AP is too high without a word.
#
# Expected: an evaluation that takes pycocotools' place and its objects gives pycocotools' AP; ids are integers in json and in
# Python, and ids of 19 digits are what time stamps and databases make.
# Why: its data set keeps ids as floating-point numbers of 64 bits, which are 128 or 256 apart at 19 digits.
# What helps: number images and categories from 1 before the evaluation.
#
# Output seen (two images with an object each; the detections are exact, or each lies where the other image's object is):
#   ids 1, 2: exact 1.0 1.0, of the other image 0.0 0.0
#   ids 1700000000000000001, 1700000000000000002: exact 1.0 1.0, of the other image 0.0 1.0
#   (pycocotools first, faster-coco-eval second)
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q faster-coco-eval==1.8.0 pycocotools==2.0.11 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import contextlib
import io
import sys

from faster_coco_eval import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

BOXES = [[10, 10, 20, 20], [60, 60, 20, 20]]


def average_precision(kind, ids, found):
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i, "width": 100, "height": 100} for i in ids],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": n, "image_id": i, "category_id": 1, "bbox": box, "area": 400, "iscrowd": 0}
            for n, (i, box) in enumerate(zip(ids, BOXES), start=1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        detections = [
            {"image_id": i, "category_id": 1, "bbox": box, "score": 0.9}
            for i, box in zip(ids, found)
        ]
        run = kind(truth, truth.loadRes(detections), "bbox")
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][..., 0, -1]
    return round(float(precision[precision > -1].mean()), 3)


seen = []
for ids in ([1, 2], [1700000000000000001, 1700000000000000002]):
    exact, other = (
        [average_precision(kind, ids, found) for kind in (COCOeval, COCOeval_faster)]
        for found in (BOXES, BOXES[::-1])
    )
    print(f"ids {ids[0]}, {ids[1]}: exact {exact[0]} {exact[1]}, of the other image {other[0]} {other[1]}")
    seen.append((exact, other))
described = [([1.0, 1.0], [0.0, 0.0]), ([1.0, 1.0], [0.0, 1.0])]
sys.exit(0 if seen == described else 1)
PY
