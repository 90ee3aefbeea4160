#!/bin/bash
# globox 2.9.0: in AP of small, medium and large objects (and AR), a detection that matches an object of another size counts
# as a false one wherever its image has a second object of the class that is of the size, however far away. Crowds are taken
# for objects like all others.
#
# Expected: COCO's numbers, as `COCOEvaluator` of `AnnotationSet.from_coco` and `from_results` promises: what matches an
# object out of the range, or lies in a crowd, counts nothing.
# What is hit: whoever evaluates without pycocotools: sizes near 32 and 96 pixels, which a detection and its object may lie
# on two sides of, pull AP of sizes down, and crowds pull down all of it; AP of plain data agrees to all digits.
#
# Output seen (AP, AP of small objects, AR of small objects):
#   sizes: pycocotools 1.0000 1.0000 1.0000; globox 1.0000 0.5000 1.0000
#   a crowd: pycocotools 1.0000 1.0000 1.0000; globox 0.1683 0.3333 1.0000
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q globox==2.9.0 pycocotools==2.0.11 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import contextlib
import io
import json
import sys
from pathlib import Path

from globox import AnnotationSet, COCOEvaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SMALL = [200.0, 200.0, 20.0, 20.0]
OBJECTS = {  # box, crowd; the first of "sizes" is of 1,056 pixels: medium, the detection on it small
    "sizes": [([10.0, 10.0, 33.0, 32.0], 0), (SMALL, 0)],
    "a crowd": [([10.0, 10.0, 90.0, 90.0], 1), (SMALL, 0)],
}
DETECTIONS = {
    "sizes": [([10.0, 10.0, 33.0, 31.0], 0.9), (SMALL, 0.8)],
    "a crowd": [([10.0, 10.0, 20.0, 20.0], 0.9), ([40.0, 40.0, 20.0, 20.0], 0.85), (SMALL, 0.8)],
}


def write(case):
    image = {"id": 1, "width": 400, "height": 300, "file_name": "1.jpg"}
    annotations = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}
        for i, (box, crowd) in enumerate(OBJECTS[case], start=1)
    ]
    content = {"images": [image], "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    Path("truth.json").write_text(json.dumps(content))
    found = [{"image_id": 1, "category_id": 1, "bbox": b, "score": s} for b, s in DETECTIONS[case]]
    Path("found.json").write_text(json.dumps(found))


def by_pycocotools():
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO("truth.json")
        evaluation = COCOeval(truth, truth.loadRes("found.json"), "bbox")
        evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    return [float(evaluation.stats[i]) for i in (0, 3, 9)]


def by_globox():
    truth = AnnotationSet.from_coco(Path("truth.json"))
    evaluation = COCOEvaluator(ground_truths=truth, predictions=truth.from_results(Path("found.json")))
    return [float(each) for each in (evaluation.ap(), evaluation.ap_small(), evaluation.ar_small())]


def text(values):
    return " ".join(f"{each:.4f}" for each in values)


seen = []
for case in OBJECTS:
    write(case)
    seen.append(f"{case}: pycocotools {text(by_pycocotools())}; globox {text(by_globox())}")
print(*seen, sep="\n")
expected = [
    "sizes: pycocotools 1.0000 1.0000 1.0000; globox 1.0000 0.5000 1.0000",
    "a crowd: pycocotools 1.0000 1.0000 1.0000; globox 0.1683 0.3333 1.0000",
]
sys.exit(seen != expected)
PY
