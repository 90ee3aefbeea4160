"""Runs a graph on arrays: images in, objects out."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat
from hdetr_d2.runtime.card import Card
from hdetr_d2.runtime.scaled import NearestMasks
from hdetr_d2.runtime.shapes import Shapes

DETECTIONS = ("scores", "labels", "boxes")
"""Outputs of a graph that includes post-processing; `masks` may follow."""


class Session(Protocol):
    """An opened model file.

    card: its metadata.
    """

    card: Card

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the graph and returns its outputs by name.

        Args:
            inputs: "images" [B, C, H, W] in the card's format, each placed at the top left; "sizes"
                int64 [B, 2], the (H, W) that each occupies there; and "originals" int64 [B, 2], (H,
                W) of the images before resizing.
        """


class Reopened:
    """A session that another process opens anew when it is pickled: runtimes cannot pickle theirs.

    Args:
        opened: the arguments of the subclass, in order.
    """

    def __init__(self, *opened: Any) -> None:
        self._opened = opened

    def __reduce__(self) -> tuple:
        return type(self), self._opened


class ExportedDetector:
    """Finds objects by means of a session; see `Detector`.

    Args:
        session: an opened file.
        path: path of the file, for error messages.

    Raises:
        UserError: the graph does not include post-processing.
    """

    def __init__(self, session: Session, path: object) -> None:
        self.session = session
        self.card = session.card
        if self.card.outputs[: len(DETECTIONS)] != DETECTIONS:
            raise UserError(
                f"{path} gives {' and '.join(self.card.outputs)} of queries, without the "
                "post-processing (it was exported with --raw): Predictor needs it inside"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.card.class_names

    @property
    def image_format(self) -> ImageFormat:
        return self.card.image_format

    def read(self, entry: dict) -> dict:
        """The image as the graph's input, [H, W, C], and (H, W) of the original."""
        image = entry.get("image")
        image = self.image_format.read(entry["file_name"]) if image is None else image
        return fed(image, self.card)

    def find(self, batch: Sequence[dict]) -> list[Shapes]:
        """Accepts any number of images: a graph with a fixed batch size is run repeatedly."""
        number = self.card.batch or len(batch)
        found: list[Shapes] = []
        for start in range(0, len(batch), number):
            part = batch[start : start + number]
            outputs = self.session.run(stacked(part, self.card, number))
            found += [shapes_of(outputs, index, item) for index, item in enumerate(part)]
        return found


def fed(image: np.ndarray, card: Card) -> dict:
    """Converts an image, [H, W, C] in the card's format, to the graph's input, and adds (H, W) of
    the original.
    """
    original = (image.shape[0], image.shape[1])
    return {"image": card.rule.resize(image, card.fed_size(*original)), "original": original}


def stacked(batch: Sequence[dict], card: Card, number: int) -> dict[str, np.ndarray]:
    """The graph's inputs for `number` images; `batch` is filled up with black images."""
    sizes = [item["image"].shape[:2] for item in batch]
    height, width = card.padded_size(sizes)
    form = card.image_format
    images = np.zeros((number, form.channels, height, width), form.dtype)
    for row, item, (h, w) in zip(images, batch, sizes, strict=False):
        row[:, :h, :w] = item["image"].transpose(2, 0, 1)
    black = [(height, width)] * (number - len(batch))
    originals = [item["original"] for item in batch]
    return {
        "images": images,
        "sizes": np.array([*sizes, *black], np.int64),
        "originals": np.array([*originals, *black], np.int64),
    }


def shapes_of(outputs: Mapping[str, np.ndarray], index: int, item: dict) -> Shapes:
    """The objects of the image at `index` in a batch, best first."""
    scores, labels, boxes = (outputs[name][index] for name in DETECTIONS)
    solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    kept = np.flatnonzero(solid & (scores > -np.inf))
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    masks = None
    if "masks" in outputs:
        height, width = item["image"].shape[:2]
        small = outputs["masks"][index][:, :height, :width][kept]
        masks = NearestMasks(small.astype(bool), item["original"])
    # Copies: a runtime may reuse this memory for the next batch.
    return Shapes(boxes[kept].copy(), labels[kept].copy(), scores[kept].copy(), masks)
