#!/bin/bash
# sahi 0.12.8: what is a crowd in COCO's sense (`iscrowd` 1) is a plain object in the json that `slice_coco` writes.
#
# Expected: `iscrowd` stays, as id and class do: a crowd is one region of many objects, neither learned nor counted.
# What is hit: who cuts COCO, or data of that kind, into tiles for small objects: the box around a crowd is learned as one
# object, and an evaluation on the tiles counts every crowd as a missed one, and what is found in it as false.
#
# Output seen (iscrowd of the two annotations, before and in the tile):
#   before [1, 0], after [0, 0]
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q sahi==0.12.8 pillow==12.3.0
cd "$folder"
venv/bin/python - <<'PY'
import json
import sys
from pathlib import Path

from PIL import Image
from sahi.slicing import slice_coco

Path("images").mkdir()
Image.new("RGB", (200, 200)).save("images/1.png")


def entry(number, box, crowd):
    x, y, w, h = box
    outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    shape = {"bbox": box, "area": w * h, "segmentation": outline, "iscrowd": crowd}
    return {"id": number, "image_id": 1, "category_id": 1, **shape}


annotations = [entry(1, [10, 10, 80, 60], 1), entry(2, [120, 100, 30, 30], 0)]
content = {
    "images": [{"id": 1, "file_name": "1.png", "width": 200, "height": 200}],
    "annotations": annotations,
    "categories": [{"id": 1, "name": "person"}],
}
Path("truth.json").write_text(json.dumps(content))
slice_coco(
    "truth.json", "images", output_coco_annotation_file_name="tiles", output_dir="tiles",
    slice_height=200, slice_width=200, verbose=False,
)
(path,) = Path("tiles").glob("*.json")
found = json.loads(path.read_text())["annotations"]
assert [each["bbox"] for each in found] == [each["bbox"] for each in annotations]
before, after = ([each["iscrowd"] for each in some] for some in (annotations, found))
print(f"before {before}, after {after}")
sys.exit((before, after) != ([1, 0], [0, 0]))
PY
