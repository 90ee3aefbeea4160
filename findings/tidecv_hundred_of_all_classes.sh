#!/bin/bash
# tidecv 1.0.1 looks at the 100 detections of an image with the highest scores, all classes together, where COCO's evaluation
# looks at 100 of each class: of a file with more of them it tells a lower AP, and counts what it left out as missed objects.
#
# Expected: the AP of pycocotools for the same two files, which it has to the digit for files of up to 100 detections an image.
# What is hit: detection transformers, which give 300 detections an image and more: dAP of "Miss" is then in part that of the
# limit. It is the attribute `max_dets` of what `datasets.COCO` returns, not of the results, and no argument sets it.
#
# Output seen (AP at an IoU of 0.5, and tidecv's dAP of missed objects):
#   100 detections of an image: pycocotools 100.00; tidecv 100.00, missed 0.00
#   300 detections of an image: pycocotools 100.00; tidecv 50.00, missed 50.00
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tidecv==1.0.1 pycocotools==2.0.11 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import contextlib
import io
import json
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tidecv import TIDE, datasets


def box(number):
    return [10.0 + 20 * (number % 20), 10.0 + 20 * (number // 20), 15.0, 15.0]


def write(second_score):
    """40 objects, each found; those of the second class with a lower score, between other detections."""
    annotations, found = [], []
    for number in range(40):
        category = 1 + number // 20
        x, y, w, h = box(number)
        outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        entry = {"image_id": 1, "category_id": category, "bbox": [x, y, w, h]}
        annotations.append(
            {"id": number + 1, "area": w * h, "iscrowd": 0, "segmentation": outline, **entry}
        )
        found.append({"score": 0.9 if category == 1 else second_score, **entry})
    # What a set of queries adds: the same boxes once more, with lower scores than the right ones of their class.
    others = 60 if second_score > 0.5 else 260
    for number in range(others):
        entry = {"image_id": 1, "category_id": 1, "bbox": box(100 + number % 100)}
        found.append({"score": 0.5 - number / 1000, **entry})
    image = {"id": 1, "width": 500, "height": 500, "file_name": "1.jpg"}
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    content = {"images": [image], "annotations": annotations, "categories": categories}
    json.dump(content, open("truth.json", "w"))
    json.dump(found, open("found.json", "w"))
    return len(found)


def by_pycocotools():
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO("truth.json")
        evaluation = COCOeval(truth, truth.loadRes("found.json"), "bbox")
        evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    return 100 * evaluation.stats[1]


def by_tidecv():
    tide = TIDE()
    with contextlib.redirect_stdout(io.StringIO()):
        run = tide.evaluate(datasets.COCO("truth.json"), datasets.COCOResult("found.json"), mode=TIDE.BOX)
    missed = next(value for kind, value in run.fix_main_errors().items() if kind.short_name == "Miss")
    return run.ap, missed


seen = []
for second_score in (0.8, 0.2):
    count = write(second_score)
    (ap, missed), reference = by_tidecv(), by_pycocotools()
    seen.append(
        f"{count} detections of an image: pycocotools {reference:.2f}; tidecv {ap:.2f}, missed {missed:.2f}"
    )
print(*seen, sep="\n")
expected = [
    "100 detections of an image: pycocotools 100.00; tidecv 100.00, missed 0.00",
    "300 detections of an image: pycocotools 100.00; tidecv 50.00, missed 50.00",
]
sys.exit(seen != expected)
PY
