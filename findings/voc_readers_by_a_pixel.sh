#!/bin/bash
# supervision 0.31.2 and datumaro 1.13.12: readers of Pascal VOC's xml disagree by a pixel, and a class that YOLO's yaml file
# calls yes is True.
#
# Expected: a box from xmin=1 to xmax=40 is the whole of an image that is 40 pixels wide: the format counts pixels from 1 and
# includes the last one. Detectron2 takes 1 off xmin and ymin. A list of names is one of names.
# Why: supervision takes 1 off, too; datumaro takes the numbers as they are, and its boxes are a pixel less wide and high.
# yaml.safe_load makes a boolean of the word yes, and supervision the text "True" of that.
# What helps: know which reader a data set was made for (a box that begins at 0 gives away that corners count from 0), and
# quote names in yaml files.
#
# Output seen:
#   supervision: box [0.0, 0.0, 40.0, 30.0]
#   datumaro: box [1.0, 1.0, 40.0, 30.0]
#   supervision: classes ['True', 'guide dog']
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q supervision==0.31.2 datumaro==1.13.12
cd "$folder"
venv/bin/python - <<'PY' 2>/dev/null
import sys
from pathlib import Path

import numpy as np
import supervision
from datumaro.components.dataset import Dataset
from PIL import Image

for place in ("voc/JPEGImages", "voc/Annotations", "voc/ImageSets/Main", "yolo/images", "yolo/labels"):
    Path(place).mkdir(parents=True)
for name in ("voc/JPEGImages/a.jpg", "yolo/images/a.jpg"):
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(name)
edges = "<xmin>1</xmin><ymin>1</ymin><xmax>40</xmax><ymax>30</ymax>"
size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
thing = f"<object><name>cat</name><bndbox>{edges}</bndbox></object>"
Path("voc/Annotations/a.xml").write_text(
    f"<annotation><folder>x</folder><filename>a.jpg</filename>{size}{thing}</annotation>"
)
Path("voc/ImageSets/Main/train.txt").write_text("a\n")
Path("yolo/labels/a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
Path("yolo/data.yaml").write_text("names: [yes, 'guide dog']\n")

read = supervision.DetectionDataset.from_pascal_voc("voc/JPEGImages", "voc/Annotations")
((_, _, found),) = read
first = found.xyxy[0].tolist()
(item,) = Dataset.import_from("voc", "voc_detection")
second = [float(edge) for edge in item.annotations[0].points]
yolo = supervision.DetectionDataset.from_yolo("yolo/images", "yolo/labels", "yolo/data.yaml")
print("supervision: box", first)
print("datumaro: box", second)
print("supervision: classes", yolo.classes)
as_described = first == [0, 0, 40, 30] and second == [1, 1, 40, 30] and yolo.classes[0] == "True"
sys.exit(not as_described)
PY
