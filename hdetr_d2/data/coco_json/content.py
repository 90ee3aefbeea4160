"""A json in COCO's format, and statistics of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hdetr_d2.data.coco_json.segmentation import has_shape


@dataclass(frozen=True)
class CocoJson:
    """The three lists of a COCO json, as they are in the file or after changes by options.

    `made_of` names the source of a temporary file, and is "" for the user's own files.
    """

    path: str
    images: list[dict]
    annotations: list[dict]
    categories: list[dict]
    is_changed: bool = False  # differs from the file
    skipped_classes: tuple[str, ...] = ()  # left out of the file
    made_of: str = ""

    @property
    def name(self) -> str:
        """How messages refer to it."""
        return self.made_of or self.path

    def class_names(self) -> list[str]:
        """Names in the order of the category ids, which is the order of the labels 0..K-1."""
        return [c["name"] for c in sorted(self.categories, key=lambda c: c["id"])]

    def changed(self, **fields: Any) -> "CocoJson":
        """The json with some fields, as lists, replaced."""
        return replace(self, **fields, is_changed=True)

    def crowds(self) -> list[dict]:
        """The annotations that evaluation ignores and training leaves out."""
        return [annotation for annotation in self.annotations if annotation.get("iscrowd", 0)]

    def objects_per_image(self) -> Counter:
        """The number of objects (without crowds) of each image that has any."""
        return Counter(a["image_id"] for a in self._usable())

    def images_per_class(self) -> list[int]:
        """The number of images in which each class has an object (without crowds), in label order
        (LVIS calls it `image_count`).
        """
        pairs = {(a["category_id"], a["image_id"]) for a in self._usable()}
        images = Counter(category_id for category_id, _ in pairs)
        return [images[category_id] for category_id in sorted(c["id"] for c in self.categories)]

    def _usable(self) -> Iterator[dict]:
        known = {image["id"] for image in self.images}
        for annotation in self.annotations:
            usable = not annotation.get("iscrowd", 0) and has_shape(annotation)
            if usable and annotation["image_id"] in known:
                yield annotation
