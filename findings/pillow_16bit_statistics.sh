#!/bin/bash
# Pillow 13.0.0 (numpy 2.4.6): ImageStat.Stat of a 16-bit grey image (mode "I;16") gives numbers that have nothing to do with
# its pixels: mean, median, variance and extrema are those of single bytes, of which each pixel has two. No error is raised,
# and `Image.getextrema` of the same image is right. Of an "F" copy the mean is that of pixels stretched to 0 to 255.
#
# Expected: the mean of the pixels, as of mode "L", or an error, as most operations raise for this mode.
# Why: Stat is made of `Image.histogram`, which has 256 entries and counts both bytes of a pixel.
# Who meets it: whoever measures by which mean and deviation 16-bit images shall be normalised.
# What helps: an array of numpy.
#
# Output seen (eight pixels, four of 1000 and four of 40000):
#   numpy:    mean 20500.0, extrema 1000 to 40000
#   Stat:     mean 113.75, extrema (3, 232)
#   of an "F" copy, mean: 127.5
#   histogram: 256 {3: 2, 64: 2, 156: 2, 232: 2}
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
from PIL import Image, ImageStat

pixels = np.array([[1000] * 4, [40000] * 4], np.uint16)
image = Image.fromarray(pixels)
found = ImageStat.Stat(image)
print(f"numpy:    mean {pixels.mean()}, extrema {pixels.min()} to {pixels.max()}")
print(f"Stat:     mean {found.mean[0]}, extrema {found.extrema[0]}")
print("of an \"F\" copy, mean:", ImageStat.Stat(image.convert("F")).mean[0])
print("histogram:", len(image.histogram()), {k: v for k, v in enumerate(image.histogram()) if v})
sys.exit(0 if abs(found.mean[0] - pixels.mean()) > 1000 and found.extrema[0][1] <= 255 else 1)
PY
