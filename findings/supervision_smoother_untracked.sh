#!/bin/bash
# supervision 0.31.2, trackers 2.6.1 (numpy 2.4.6): to DetectionsSmoother all objects without a track are one object. Two that
# a tracker sees for the first time become a single box in the middle between them, where nothing is.
#
# Expected: a tracker returns objects that it has not confirmed with the id -1; LineZone and TraceAnnotator leave that id
# alone, so detections that are handed on through a smoother keep their places and their number, as confirmed ones do.
# Why: the smoother keeps a history for each id, and takes -1 for one.
# What helps: detections[detections.tracker_id >= 0] before the smoother.
#
# Output seen (two boxes around (20, 20) and (80, 80), in the first and the third frame that ByteTrack is given):
#   frame 1: ids [-1, -1], smoothed: [[45.0, 45.0, 55.0, 55.0]]
#   frame 3: ids [0, 1], smoothed: [[15.0, 15.0, 25.0, 25.0], [75.0, 75.0, 85.0, 85.0]]
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q supervision==0.31.2 trackers==2.6.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys

import numpy as np
import supervision
from trackers import ByteTrackTracker

BOXES = np.array([[15, 15, 25, 25], [75, 75, 85, 85]], float)
tracker, smoother = ByteTrackTracker(), supervision.DetectionsSmoother()
seen = []
for frame in (1, 2, 3):
    found = supervision.Detections(
        xyxy=BOXES, confidence=np.array([0.9, 0.9]), class_id=np.array([0, 0])
    )
    tracked = tracker.update(found)
    smoothed = smoother.update_with_detections(tracked)
    boxes = sorted(smoothed.xyxy.tolist())
    seen.append((tracked.tracker_id.tolist(), boxes))
    if frame != 2:
        print(f"frame {frame}: ids {seen[-1][0]}, smoothed: {boxes}")
first, last = seen[0], seen[2]
as_described = first == ([-1, -1], [[45, 45, 55, 55]]) and last == ([0, 1], BOXES.tolist())
sys.exit(not as_described)
PY
