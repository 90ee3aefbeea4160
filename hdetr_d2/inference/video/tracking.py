"""Tracks objects across the frames of a video, with trackers of the package `trackers`."""

import inspect
from typing import Any

import numpy as np

from hdetr_d2.errors import UserError
from hdetr_d2.inference.video.reading import EXTRA, Frame
from hdetr_d2.runtime.needed import needed
from hdetr_d2.runtime.shapes import Shapes

TRACKERS = {
    "bytetrack": "ByteTrackTracker",
    "botsort": "BoTSORTTracker",
    "cbiou": "CBIoUTracker",
    "ocsort": "OCSORTTracker",
    "sort": "SORTTracker",
}
"""Name -> class in `trackers`."""
LEAST_SCORE = 0.1
"""Minimum score of a detection that may continue a track."""
DOUBLES = 0.7
"""Among boxes with at least this IoU, whatever their classes, only the best can have a track: the
trackers were made for detectors with such suppression.
"""


class Tracker:
    """Tracks the objects of a video. A track begins with a score of at least `score_threshold`;
    lower-scored detections, which are dropped without tracking, can continue one. An object that is
    detected twice, or as two classes, has a single track: otherwise a detector without NMS would
    give it several that keep swapping.

    Args:
        name: one of `TRACKERS`.
        rate: frames per second.
        score_threshold: see above.

    Raises:
        UserError: an unknown tracker, or it is not installed.
    """

    def __init__(self, name: str, *, rate: float, score_threshold: float) -> None:
        if name not in TRACKERS:
            raise UserError(f"there is no tracker {name!r}: there are {', '.join(TRACKERS)}")
        kind = getattr(needed("trackers", "tracking", EXTRA), TRACKERS[name])
        self.detections = needed("supervision", "tracking", EXTRA).Detections
        options = {
            "frame_rate": rate,
            "track_activation_threshold": score_threshold,
            "high_conf_det_threshold": score_threshold,
        }
        known = inspect.signature(kind).parameters
        self.tracker = kind(**{key: value for key, value in options.items() if key in known})
        self.looks = "enable_cmc" in known  # uses the pixels, to compensate for camera motion
        self.score_threshold = score_threshold

    def update(self, frame: Frame, shapes: Shapes) -> Shapes:
        """The objects of the next frame with their tracks, in the order of `shapes`.

        Args:
            shapes: all detections in it, with scores.
        """
        found = shapes.above(min(LEAST_SCORE, self.score_threshold))
        scores = np.asarray(found.scores)
        detections = self.detections(
            xyxy=np.asarray(found.boxes, np.float32).reshape(-1, 4),
            confidence=scores,
            class_id=np.asarray(found.classes),
            data={"index": np.arange(len(found))},  # trackers change the order
        ).with_nms(DOUBLES, class_agnostic=True)
        more: dict[str, Any] = {"frame": frame.pixels[..., ::-1]} if self.looks else {}
        tracked = self.tracker.update(detections, timestamp=frame.time, **more)
        tracks = np.full(len(found), -1)
        if len(tracked):
            tracks[tracked.data["index"]] = tracked.tracker_id
        known = Shapes(found.boxes, found.classes, found.scores, found.masks, tracks)
        return known.chosen((scores >= self.score_threshold) | (tracks >= 0))
