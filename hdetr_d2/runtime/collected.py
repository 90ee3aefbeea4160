"""The detections of any number of images, and their conversion for other libraries."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hdetr_d2.runtime.needed import needed
from hdetr_d2.runtime.results import Result, coco_results
from hdetr_d2.runtime.shapes import Shapes
from hdetr_d2.runtime.tables import columns_of, rows_of
from hdetr_d2.runtime.writers import open_writer

_TYPES = {"image_id": "int64", "category_id": "int64", "track_id": "Int64"}
_NUMBERS = ("score", "x_min", "y_min", "x_max", "y_max", "time")


class Results(list[Result]):
    """The detections of images, best first within each image.

    Attributes:
        class_names: by class index.
        images: COCO entries of all images, including those without detections: `id`, `file_name`
            (None for images in memory), `width` and `height`; for frames also `time` in seconds.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        self.images: list[Mapping[str, Any]] = []

    def add(self, image: Mapping[str, Any], shapes: Shapes) -> list[Result]:
        """Adds an image with its objects.

        Returns:
            The detections of this image.
        """
        name = image["file_name"]
        found = coco_results(shapes, self.class_names, image_id=image["id"], file_name=name)
        self.images.append(image)
        self += found
        return found

    def by_image(self) -> Iterator[tuple[Mapping[str, Any], list[Result]]]:
        """Iterates over the images' entries, each with its detections."""
        found: dict[int, list[Result]] = {image["id"]: [] for image in self.images}
        for result in self:
            found[result["image_id"]].append(result)
        return ((image, found[image["id"]]) for image in self.images)

    def to_supervision(self) -> list[Any]:
        """Returns a `supervision.Detections` for each image, in order, including those without
        detections. `class_id` is the class index; the class name is in `data["class_name"]`;
        `tracker_id` is -1 for objects without a track.

        Raises:
            UserError: supervision is not installed.
        """
        kind = needed("supervision", "to_supervision()").Detections
        return [kind(**_fields(found)) for _, found in self.by_image()]

    def to_pandas(self) -> Any:
        """Returns a `pandas.DataFrame` with one row per detection: the columns of a CSV file, plus
        `segmentation` (RLE) if there are masks.

        Raises:
            UserError: pandas is not installed.
        """
        pandas = needed("pandas", "to_pandas()")
        columns = list(columns_of(self.images))
        rows = [row for image, found in self.by_image() for row in rows_of(image, found)]
        table = pandas.DataFrame(rows, columns=columns)
        types = _TYPES | dict.fromkeys(_NUMBERS, "float64")
        table = table.astype({name: types[name] for name in columns if name in types})
        if any("segmentation" in result for result in self):
            table["segmentation"] = [
                result.get("segmentation") for _, found in self.by_image() for result in found
            ]
        return table

    def save(self, path: str | Path, format: str | None = None) -> Path:
        """Writes a file in one of the formats of `hdetr-d2 predict`.

        Args:
            path: path of the file; for YOLO labels, of the folder.
            format: name of the format; None derives it from the file's ending.

        Raises:
            UserError: an unknown format, or the file cannot be written.
        """
        with open_writer(path, self.class_names, format) as writer:
            for image, found in self.by_image():
                writer.write(image, found)
        return Path(path)


def _fields(found: Sequence[Result]) -> dict[str, Any]:
    """The arguments of `supervision.Detections` for one image."""
    boxes = np.array([result["bbox"] for result in found], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    fields: dict[str, Any] = {
        "xyxy": boxes,
        "confidence": np.array([result["score"] for result in found], np.float32),
        "class_id": np.array([result["category_id"] - 1 for result in found], int),
        "data": {"class_name": np.array([result["category_name"] for result in found], str)},
    }
    if found and "segmentation" in found[0]:
        import pycocotools.mask as mask_utils  # needed for masks only

        masks = [mask_utils.decode(result["segmentation"]) for result in found]
        fields["mask"] = np.stack(masks).astype(bool)
    if found and "track_id" in found[0]:
        tracks = [-1 if result["track_id"] is None else result["track_id"] for result in found]
        fields["tracker_id"] = np.array(tracks, int)
    return fields
