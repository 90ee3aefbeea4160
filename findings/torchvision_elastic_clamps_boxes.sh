#!/bin/bash
# torchvision 0.29.1 (torch 2.14.1), v2.ElasticTransform: boxes with clamping_mode=None are clamped all the same, and their right
# and lower edges to width - 1 and height - 1, so that a box that fills the image loses a pixel whatever the strength. The other
# transforms of a recipe leave such a box outside the image, and boxes that end at the image's edge where they are.
#
# Expected: clamping_mode=None says that no transform clamps, and the edge of a box may lie at x = width, as Resize has it.
# What is hit: recipes that clamp once, at their end, to tell by the share of a box that is left whether to keep it; and tight
# boxes at the edges of the image, each one pixel too small.
#
# Output seen (an image of 120 x 100, boxes [-20, -10, 30, 40], [80, 70, 140, 130] and [0, 0, 120, 100]):
#   RandomHorizontalFlip: [[90.0, -10.0, 140.0, 40.0], [-20.0, 70.0, 40.0, 130.0], [0.0, 0.0, 120.0, 100.0]]
#   Resize: [[-20.0, -10.0, 30.0, 40.0], [80.0, 70.0, 140.0, 130.0], [0.0, 0.0, 120.0, 100.0]]
#   RandomAffine: [[-20.0, -10.0, 30.0, 40.0], [80.0, 70.0, 140.0, 130.0], [0.0, 0.0, 120.0, 100.0]]
#   ElasticTransform: [[0.0, 0.0, 30.0, 40.0], [80.0, 70.0, 119.0, 99.0], [0.0, 0.0, 119.0, 99.0]]
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

CORNERS = [[-20.0, -10.0, 30.0, 40.0], [80.0, 70.0, 140.0, 130.0], [0.0, 0.0, 120.0, 100.0]]
CLAMPED = [[0.0, 0.0, 30.0, 40.0], [80.0, 70.0, 119.0, 99.0], [0.0, 0.0, 119.0, 99.0]]
FLIPPED = [[90.0, -10.0, 140.0, 40.0], [-20.0, 70.0, 40.0, 130.0], [0.0, 0.0, 120.0, 100.0]]
transforms = (
    (v2.RandomHorizontalFlip(1.0), FLIPPED),
    (v2.Resize((100, 120)), CORNERS),
    (v2.RandomAffine(0), CORNERS),
    (v2.ElasticTransform(alpha=1e-3), CLAMPED),
)
image = tv_tensors.Image(torch.zeros(3, 100, 120, dtype=torch.uint8))
boxes = tv_tensors.BoundingBoxes(
    torch.tensor(CORNERS), format="XYXY", canvas_size=(100, 120), clamping_mode=None
)
as_described = True
for transform, expected in transforms:
    moved = transform(image, boxes)[1]
    found = [[round(value, 1) + 0.0 for value in row] for row in moved.tolist()]
    print(f"{type(transform).__name__}: {found}")
    as_described &= found == expected and moved.clamping_mode is None
sys.exit(0 if as_described else 1)
PY
