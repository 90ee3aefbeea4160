"""Detections as rows of a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hdetr_d2.runtime.results import Result

_COLUMNS = (
    "image_id",
    "file_name",
    "category_id",
    "category_name",
    "score",
    "x_min",
    "y_min",
    "x_max",
    "y_max",
)
_OF_VIDEOS = ("time", "track_id")


def columns_of(images: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The column names for images, or for frames of a video."""
    return _COLUMNS + (_OF_VIDEOS if any("time" in image for image in images) else ())


def rows_of(image: Mapping[str, Any], results: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """Yields one row per detection of an image, with box corners in pixels."""
    for result in results:
        left, top, width, height = result["bbox"]
        corners = {"x_min": left, "y_min": top, "x_max": left + width, "y_max": top + height}
        values = {**result, **corners, "time": image.get("time")}
        yield {name: values.get(name) for name in columns_of([image])}
