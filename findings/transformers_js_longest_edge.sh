#!/bin/bash
# @huggingface/transformers 4.3.2 (npm), DetrImageProcessor: with "size": {"shortest_edge": 800, "longest_edge": 1333}, which is
# what the published DETR checkpoints have in preprocessor_config.json, an image is enlarged until its LONGEST edge is 1333. The
# class of the same name in Python, and the evaluation those checkpoints were measured with, stop as soon as the shortest edge is
# 800: 1333 only limits very long images. The comment above the code of the package says "downscale", the factor may be above 1.
#
# Expected: the input of the network has the same size in the browser as in Python, since both read one file.
# What is hit: detections in JavaScript. A photograph of 640 x 480 has 1.56 times the pixels (a square one 2.78 times), so it is
# slower by at least that, and its objects are larger than any image of that shape showed in training.
#
# Output seen (width x height):
#   640 x 480: 1333 x 999, Python 1066 x 800
#   640 x 427: 1333 x 889, Python 1199 x 800
#   612 x 612: 1333 x 1333, Python 800 x 800
#   1333 x 800: 1333 x 800, Python 1333 x 800
#
# Exit status 0: as described; 1: that has changed. Needs node and npm.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.24.0 torch==2.14.1 torchvision==0.29.1 pillow==12.3.0 numpy==2.4.6
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @huggingface/transformers@4.3.2
cat > sizes.mjs <<'JS'
import { DetrImageProcessor, RawImage } from "@huggingface/transformers";

const processor = new DetrImageProcessor({
    do_resize: true, size: { shortest_edge: 800, longest_edge: 1333 }, resample: 2,
    do_rescale: true, rescale_factor: 1 / 255, do_normalize: true,
    image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225],
});
for (const [width, height] of [[640, 480], [640, 427], [612, 612], [1333, 800]]) {
    const image = new RawImage(new Uint8ClampedArray(width * height * 3).fill(100), width, height, 3);
    const [, , rows, columns] = (await processor([image])).pixel_values.dims;
    console.log(`${width} ${height} ${columns} ${rows}`);
}
JS
node sizes.mjs > sizes.txt
venv/bin/python - <<'PY'
import sys

import numpy as np
from transformers import DetrImageProcessor

processor = DetrImageProcessor(size={"shortest_edge": 800, "longest_edge": 1333})
seen = []
for line in open("sizes.txt"):
    width, height, columns, rows = map(int, line.split())
    image = np.full((height, width, 3), 100, np.uint8)
    python_rows, python_columns = processor([image], return_tensors="np")["pixel_values"].shape[2:]
    print(f"{width} x {height}: {columns} x {rows}, Python {python_columns} x {python_rows}")
    seen.append((columns, rows, python_columns, python_rows))
expected = [(1333, 999, 1066, 800), (1333, 889, 1199, 800), (1333, 1333, 800, 800), (1333, 800, 1333, 800)]
sys.exit(0 if seen == expected else 1)
PY
