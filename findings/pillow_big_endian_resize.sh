#!/bin/bash
# Pillow 13.0.0 (numpy 2.4.6, tifffile 2026.3.3): a 16-bit grey TIFF that is stored with the higher byte first (mode "I;16B") is
# resized to wrong values by every filter but NEAREST. The same pixels stored with the lower byte first ("I;16") are right,
# and so are np.asarray, crop, transpose and convert of both.
#
# Expected: the order of bytes in a file changes nothing; or an error, as other operations raise for this mode.
# Why: the filters read each pixel as if its lower byte came first.
# Who meets it: thumbnails and augmentations of microscopes' and satellites' images, many of which are stored so.
# What helps: convert("I") or convert("F") after opening, or arrays.
#
# Output seen (4 x 4 pixels, the upper half of 1100 and the lower of 1000, made 2 x 2 by BILINEAR):
#   lower byte first:  I;16 pixels right: True resized: [[1086, 1086], [1014, 1014]]
#   higher byte first: I;16B pixels right: True resized: [[19810, 19810], [47825, 47825]]
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3
cd "$folder"
venv/bin/python - <<'PY'
import sys

import numpy as np
import tifffile
from PIL import Image

pixels = np.full((4, 4), 1000, np.uint16)
pixels[:2] = 1100
sizes = {}
for order, name in (("<", "lower byte first: "), (">", "higher byte first:")):
    tifffile.imwrite("a.tif", pixels, byteorder=order, photometric="minisblack")
    with Image.open("a.tif") as image:
        same = np.array_equal(np.asarray(image), pixels)
        sizes[order] = np.asarray(image.resize((2, 2), Image.Resampling.BILINEAR)).tolist()
        print(name, image.mode, "pixels right:", same, "resized:", sizes[order])
close = np.abs(np.array(sizes["<"]) - [[1100] * 2, [1000] * 2]).max() <= 20
sys.exit(0 if close and sizes[">"] != sizes["<"] else 1)
PY
