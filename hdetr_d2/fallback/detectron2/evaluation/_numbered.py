"""Ids of images and categories as small numbers."""

from collections.abc import Iterable, Sequence
from typing import Any

from pycocotools.coco import COCO


class NumberedTruth:
    """Ground truth whose images and categories are numbered from 1, in the order of their ids.

    Ids may be anything: a string, a negative number or one beyond 2^53. Not all evaluation code can
    handle these.

    coco: with the numbers as ids.
    """

    def __init__(self, truth: COCO) -> None:
        """`truth` is unchanged."""
        self._images = _numbers(truth.imgs)
        self._categories = _numbers(truth.cats)
        self.coco = COCO()
        self.coco.dataset = {
            **truth.dataset,
            "images": _renamed(truth.dataset["images"], self._images),
            "categories": _renamed(truth.dataset["categories"], self._categories),
            "annotations": self._numbered(truth.dataset["annotations"]),
        }
        self.coco.createIndex()

    def read(self, predictions: Sequence[dict]) -> COCO:
        """Detections in the form of the ground truth."""
        return self.coco.loadRes(self._numbered(predictions))

    def image_numbers(self, ids: Iterable[Any]) -> list[int]:
        return [self._images[i] for i in ids]

    def _numbered(self, entries: Iterable[dict]) -> list[dict]:
        return [
            {
                **entry,
                "image_id": self._images[entry["image_id"]],
                "category_id": self._categories[entry["category_id"]],
            }
            for entry in entries
        ]


def _numbers(ids: Iterable[Any]) -> dict[Any, int]:
    in_order = sorted(ids, key=lambda i: (isinstance(i, str), i))
    return {i: number for number, i in enumerate(in_order, start=1)}


def _renamed(entries: Iterable[dict], numbers: dict[Any, int]) -> list[dict]:
    return [{**entry, "id": numbers[entry["id"]]} for entry in entries]
