#!/bin/bash
# kornia 0.9.0: `AugmentationSequential` with data_keys=["input", "bbox_xyxy"] mirrors, turns and resizes pixels by their
# edges, but boxes by the centres of the outermost pixels: after a flip a box lies one pixel from its object, after a resize
# it has another size than its object, by up to a pixel at the far side. Crops and padding keep both together.
#
# Expected: a box that encloses its object does so afterwards, as with torchvision's v2 transforms.
# What is hit: detectors trained with kornia's augmentation: boxes of mirrored images are shifted by a pixel, a twentieth of
# an object of 20 pixels, and those of resized images are too large or too small.
#
# Output seen (an object of 20, 10 to 50, 30 in an image of 100 x 60: where its pixels are afterwards, and its box):
#   RandomHorizontalFlip: pixels [50, 10, 80, 30], box [49.0, 10.0, 79.0, 30.0]
#   RandomVerticalFlip: pixels [20, 30, 50, 50], box [20.0, 29.0, 50.0, 49.0]
#   RandomRotation90: pixels [30, 30, 50, 60], box [30.0, 29.0, 50.0, 59.0]
#   Resize: pixels [40, 20, 100, 60], box [40.2, 20.17, 100.51, 60.51]
#   CenterCrop: pixels [0, 0, 30, 20], box [0.0, 0.0, 30.0, 20.0]
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q kornia==0.9.0 torch==2.14.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys

import kornia.augmentation as K
import torch

TRANSFORMS = [
    K.RandomHorizontalFlip(p=1.0),
    K.RandomVerticalFlip(p=1.0),
    K.RandomRotation90((1, 1), p=1.0),
    K.Resize((120, 200)),
    K.CenterCrop((40, 60)),
]


def place(image):
    """x1, y1, x2, y2 around what is bright."""
    y, x = (image[0, 0] > 0.5).nonzero(as_tuple=True)
    return [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]


image = torch.zeros(1, 3, 60, 100)
image[..., 10:30, 20:50] = 1
box = torch.tensor([[[20.0, 10.0, 50.0, 30.0]]])
assert place(image) == box.flatten().tolist()
seen = []
for transform in TRANSFORMS:
    moved, found = K.AugmentationSequential(transform, data_keys=["input", "bbox_xyxy"])(image, box)
    rounded = [round(each, 2) for each in found.flatten().tolist()]
    seen.append(f"{type(transform).__name__}: pixels {place(moved)}, box {rounded}")
print(*seen, sep="\n")
expected = [
    "RandomHorizontalFlip: pixels [50, 10, 80, 30], box [49.0, 10.0, 79.0, 30.0]",
    "RandomVerticalFlip: pixels [20, 30, 50, 50], box [20.0, 29.0, 50.0, 49.0]",
    "RandomRotation90: pixels [30, 30, 50, 60], box [30.0, 29.0, 50.0, 59.0]",
    "Resize: pixels [40, 20, 100, 60], box [40.2, 20.17, 100.51, 60.51]",
    "CenterCrop: pixels [0, 0, 30, 20], box [0.0, 0.0, 30.0, 20.0]",
]
sys.exit(seen != expected)
PY
