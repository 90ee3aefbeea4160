"""Videos: reading frames, tracking objects, and writing drawn frames."""

from hdetr_d2.inference.video.prediction import Summary, predict_video, watch
from hdetr_d2.inference.video.reading import Frame, Video, open_video
from hdetr_d2.inference.video.tracking import TRACKERS, Tracker
from hdetr_d2.inference.video.writing import VideoWriter

__all__ = [
    "TRACKERS",
    "Frame",
    "Summary",
    "Tracker",
    "Video",
    "VideoWriter",
    "open_video",
    "predict_video",
    "watch",
]
