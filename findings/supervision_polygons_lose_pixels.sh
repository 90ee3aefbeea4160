#!/bin/bash
# supervision 0.31.2 (pycocotools 2.0.11, numpy 2.4.6): a mask that is written as COCO's polygons, or as YOLO's, has a row and
# a column of pixels less for whoever else reads it; and the box of a YOLO label is smaller than the one that was written.
#
# Expected: a mask of 10 x 10 pixels is one of 10 x 10 pixels in the file, whose "area" and "bbox" say so.
# Why: corners of polygons are the middles of the outermost pixels (OpenCV's contours), written as they are. To COCO and YOLO,
# pixel 10 reaches from 10 to 11. supervision fills its polygons with their outline, and so gets its own masks back.
# What helps: masks as run lengths, which pycocotools encodes; or half a pixel more on each side of a polygon before it is
# written.
#
# Output seen (the mask is rows 5 to 14, columns 10 to 19, its box 10, 5, 20, 15):
#   COCO: area 100.0, bbox [10.0, 5.0, 10.0, 10.0], pixels of the polygon: 81
#   YOLO, read again by supervision: box [10.0, 5.0, 19.0, 14.0]
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q supervision==0.31.2 pycocotools==2.0.11 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import json
import sys
from pathlib import Path

import numpy as np
import pycocotools.mask
import supervision
from PIL import Image

HEIGHT, WIDTH, BOX = 50, 60, [10, 5, 20, 15]
Path("images").mkdir()
Image.new("RGB", (WIDTH, HEIGHT)).save("images/a.png")
mask = np.zeros((1, HEIGHT, WIDTH), bool)
mask[0, 5:15, 10:20] = True
thing = supervision.Detections(
    xyxy=np.array([BOX], float), mask=mask, class_id=np.array([0])
)
data = supervision.DetectionDataset(
    classes=["thing"], images=["images/a.png"], annotations={"images/a.png": thing}
)
data.as_coco(annotations_path="coco.json")
(annotation,) = json.loads(Path("coco.json").read_text())["annotations"]
encoded = pycocotools.mask.frPyObjects(annotation["segmentation"], HEIGHT, WIDTH)
pixels = int(pycocotools.mask.area(encoded).sum())
print(f"COCO: area {annotation['area']}, bbox {annotation['bbox']}, pixels of the polygon: {pixels}")
data.as_yolo(annotations_directory_path="labels", data_yaml_path="data.yaml")
again = supervision.DetectionDataset.from_yolo("images", "labels", "data.yaml")
((_, _, read),) = again
box = [round(edge, 2) for edge in read.xyxy[0].tolist()]
print("YOLO, read again by supervision: box", box)
sys.exit(not (annotation["area"] == 100 and pixels == 81 and box == [10, 5, 19, 14]))
PY
