#!/bin/bash
# opencv-python 5.0.0.93 (numpy 2.4.6, tifffile 2026.3.3): cv2.imread(..., IMREAD_UNCHANGED) of a TIFF with two, three or four
# samples a pixel that says MINISBLACK, as files of several spectral bands do, returns one channel: a grey mixture of the
# first three, as if these were red, green and blue; of two samples of 16 bits also cut to 8 bits. Said to be RGB, or three and
# four in float32, the same pixels come back with all channels. `imreadmulti` does the same.
#
# Expected of "unchanged": all channels in their type, or an error, as for five channels; the file itself says that there are
# so many samples.
# Who meets it: whoever reads images with near infrared beside others.
# What helps: tifffile.
#
# Output seen (uint16; all pixels have 1000, 2000, 3000, 4000, as many of these as are told; type, shape and first pixel):
#   2 samples, MINISBLACK: uint8 (2, 3), 3
#   3 samples, MINISBLACK: uint16 (2, 3), 1815
#   4 samples, MINISBLACK: uint16 (2, 3), 1815
#   4 samples, RGB: uint16 (2, 3, 4), [3000 2000 1000 4000]
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q opencv-python==5.0.0.93 numpy==2.4.6 tifffile==2026.3.3
cd "$folder"
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
import tifffile


def read(samples, photometric):
    pixels = np.tile(np.arange(1, samples + 1, dtype=np.uint16) * 1000, (2, 3, 1))
    tifffile.imwrite("a.tif", pixels, photometric=photometric, planarconfig="contig")
    found = cv2.imread("a.tif", cv2.IMREAD_UNCHANGED)
    print(f"{samples} samples, {photometric.upper()}: {found.dtype} {found.shape}, {found[0, 0]}")
    return found


grey = [read(samples, "minisblack") for samples in (2, 3, 4)]
colours = read(4, "rgb")
described = all(found.shape == (2, 3) for found in grey) and colours.shape == (2, 3, 4)
described &= grey[0].dtype == np.uint8 and grey[2].dtype == np.uint16
sys.exit(0 if described else 1)
PY
