#!/bin/bash
# Pillow 13.0.0 (numpy 2.4.6): rotate and transform of a 16-bit grey image (mode "I;16") with BILINEAR or BICUBIC give pixels
# that are not between their neighbours. With NEAREST, and in `resize` with any filter, the same image is right.
#
# Expected: within an image of one value, that value; or an error, as other operations raise for this mode.
# Why: two bytes of a pixel seem to be handled as if each were one of 8 bits.
# Who meets it: whoever augments 16-bit images by a rotation or an affine transform (torchvision's do so to images of Pillow).
# What helps: convert("F") before, or arrays.
#
# Output seen (all pixels of 5 x 5 are 1000, turned by 30 degrees; the middle row, none of which comes from outside):
#   NEAREST:  [1000, 1000, 1000, 1000, 1000]
#   BILINEAR: [170, 33, 232, 33, 170]
#   BICUBIC:  [158, 14, 232, 14, 158]
#   BILINEAR of an "F" copy: [1000.0, 1000.0, 1000.0, 1000.0, 1000.0]
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys

import numpy as np
from PIL import Image

image = Image.fromarray(np.full((5, 5), 1000, np.uint16))


def turned(picture, name):
    return np.asarray(picture.rotate(30, Image.Resampling[name]))[2].tolist()


rows = {name: turned(image, name) for name in ("NEAREST", "BILINEAR", "BICUBIC")}
for name, row in rows.items():
    print(f"{name}: {row}")
floats = turned(image.convert("F"), "BILINEAR")
print('BILINEAR of an "F" copy:', floats)
described = rows["NEAREST"] == [1000] * 5 and floats[1:4] == [1000.0] * 3
described &= all(1000 not in rows[name] for name in ("BILINEAR", "BICUBIC"))
sys.exit(0 if described else 1)
PY
