"""From a checkpoint and a video to tracks in files, and a drawn video."""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from hdetr_d2.inference.outputs import Formats, video_outputs
from hdetr_d2.inference.video.reading import Frame, Video, open_video
from hdetr_d2.inference.video.tracking import Tracker
from hdetr_d2.inference.video.writing import VideoWriter
from hdetr_d2.pixels.images import BadImageError
from hdetr_d2.runtime.checks import check_score_threshold
from hdetr_d2.runtime.collected import Results
from hdetr_d2.runtime.options import InferenceOptions
from hdetr_d2.runtime.predictor import Predictor, image_entry
from hdetr_d2.runtime.shapes import Shapes
from hdetr_d2.runtime.writers import open_writer
from hdetr_d2.visualization import draw_shapes

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hdetr_d2.runtime.options import InferenceKeywords

logger = logging.getLogger(__name__)


class Watched(NamedTuple):
    """A frame: its pixels, uint8 [H, W, 3] in RGB; its objects; and the same as `Results` of one
    image, whose `id` is the number of the frame (from 1) and whose `time` is in seconds.
    """

    pixels: np.ndarray
    shapes: Shapes
    results: Results


@dataclass
class Summary:
    """Counts for a video so far."""

    frames: int = 0
    detections: int = 0
    tracks: int = 0

    def count(self, results: Results) -> None:
        self.frames += 1
        self.detections += len(results)
        tracks = (result.get("track_id") or 0 for result in results)
        self.tracks = max(self.tracks, *tracks, 0)  # tracks count from 1

    def __str__(self) -> str:
        return f"{self.frames} frames, {self.detections} detections, {self.tracks} tracks"


def watch(
    predictor: Predictor,
    source: str | Path | int,
    *,
    track: str | None = None,
    score_threshold: float = 0.5,
    batch_size: int = 1,
) -> Iterator[Watched]:
    """Finds the objects of a video, frame by frame, holding at most `batch_size` frames.

    Args:
        source: a video file, the address of a stream, or the number of a camera.
        track: the tracker; see `TRACKERS`.
        score_threshold: lower-scored detections are dropped, unless they continue a track.
        batch_size: frames per forward pass.

    Raises:
        UserError: the video cannot be read, or a required package is not installed.
    """
    check_score_threshold(score_threshold)
    with open_video(source) as video:
        tracker = _tracker(track, video, score_threshold)
        yield from _watch(predictor, video, tracker, score_threshold, batch_size)


def predict_video(
    checkpoint: str | Path,
    source: str | Path | int,
    *,
    output: str | Path | None = None,
    format: Formats = None,
    track: str | None = None,
    **options: "Unpack[InferenceKeywords]",
) -> Summary:
    """Finds the objects of a video, and writes them frame by frame. Ctrl-C ends it, which is the
    way to stop a camera; everything written until then is valid.

    Args:
        checkpoint, options: see `predict`.
        source, track: see `watch`.
        output: a video file (.mp4, .mov, .mkv, .webm), with the detections beside it under the same
            name; a folder for both; or a file of detections, by its ending; None writes nothing.
        format: of the detections: "csv" (default), "jsonl", "coco" (held in memory until the end),
            "yolo", or several of them.

    Raises:
        UserError: the video, the checkpoint or the output cannot be used.
    """
    asked = InferenceOptions(**options)
    return predict_frames(checkpoint, source, asked, output=output, format=format, track=track)


def predict_frames(
    checkpoint: str | Path,
    source: str | Path | int,
    options: InferenceOptions,
    *,
    output: str | Path | None = None,
    format: Formats = None,
    track: str | None = None,
) -> Summary:
    """See `predict_video`."""
    summary, threshold = Summary(), options.score_threshold
    try:
        with ExitStack() as stack:
            video = stack.enter_context(open_video(source))
            files, drawn = video_outputs(output, format, video.name)
            tracker = _tracker(track, video, threshold)
            predictor = options.open(checkpoint)
            names = predictor.class_names
            writers = [stack.enter_context(open_writer(p, names, f)) for f, p in files.items()]
            picture = None
            if drawn is not None:
                picture = VideoWriter(drawn, rate=video.rate, sound=video.sound)
                stack.enter_context(picture)
            frames = _watch(predictor, video, tracker, threshold, options.batch_size)
            for frame in tqdm(frames, total=video.length, unit="frame", disable=None):
                summary.count(frame.results)
                (image,) = frame.results.images
                for each in writers:
                    each.write(image, frame.results)
                if picture is not None:
                    shown = draw_shapes(Image.fromarray(frame.pixels), frame.shapes, names)
                    picture.write(np.asarray(shown), image["time"])
    except KeyboardInterrupt:
        if not summary.frames:
            raise
        logger.info("Ended by Ctrl-C")
    places = [*files.values()] + ([] if drawn is None else [drawn])
    logger.info("%s: %s", summary, ", ".join(map(str, places)) or video.name)
    return summary


def _tracker(track: str | None, video: Video, score_threshold: float) -> Tracker | None:
    if track is None:
        return None
    return Tracker(track, rate=video.rate, score_threshold=score_threshold)


def _watch(
    predictor: Predictor,
    video: Video,
    tracker: Tracker | None,
    score_threshold: float,
    batch_size: int,
) -> Iterator[Watched]:
    waiting: deque[Frame] = deque()

    def pixels() -> Iterator[np.ndarray]:
        for frame in video:
            waiting.append(frame)
            yield frame.pixels

    for number, seen in enumerate(predictor.detect(pixels(), batch_size), start=1):
        frame = waiting.popleft()
        if isinstance(seen, BadImageError):
            raise seen
        if tracker is None:
            shapes = seen.shapes.above(score_threshold)
        else:
            shapes = tracker.update(frame, seen.shapes)
        image = image_entry(seen, number)
        results = Results(predictor.class_names)
        results.add(image | {"file_name": video.name, "time": frame.time}, shapes)
        yield Watched(frame.pixels, shapes, results)
