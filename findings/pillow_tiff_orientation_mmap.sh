#!/bin/bash
# Pillow 13.0.0 (numpy 2.x): an uncompressed grey TIFF with an Orientation tag of 5 to 8 comes out scrambled, and with its
# sides exchanged, when it is opened by its path; from an open file the same bytes are read rightly. Tags 1 to 4, colour
# (RGB) and compressed files are right both ways.
#
# Expected: the pixels of a file do not depend on whether it is opened by name or by handle.
# Why: since Pillow 11.0 a TIFF's `size` is that of the turned image even before it is loaded. A raw grey file that is
# opened by name is mapped into memory with that size, so its rows have the length of its columns; then it is turned again.
#
# Output seen (3 x 2 pixels, stored row by row as 0 1 2 / 3 4 5; wanted of orientation 6: [[3, 0], [4, 1], [5, 2]]):
#   orientation 6, by name:   [[4, 2, 0], [5, 3, 1]]
#   orientation 6, by handle: [[3, 0], [4, 1], [5, 2]]
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 numpy
cd "$folder"
venv/bin/python - <<'PY'
import sys

import numpy as np
from PIL import Image

stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
exif = Image.Exif()
exif[0x0112] = 6  # the first stored row is the right side of the picture
Image.fromarray(stored).save("a.tif", exif=exif)
with Image.open("a.tif") as image:
    by_name = np.array(image)
with open("a.tif", "rb") as file, Image.open(file) as image:
    by_handle = np.array(image)
print("orientation 6, by name:  ", by_name.tolist())
print("orientation 6, by handle:", by_handle.tolist())
wanted = np.rot90(stored, -1)
described = np.array_equal(by_handle, wanted) and not np.array_equal(by_name, wanted)
sys.exit(0 if described else 1)
PY
