"""A trained model that is kept, for images in files and in memory."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from detectron2.structures import Instances
from PIL import Image

from hdetr_d2.data.images import BadImageError, read_image, to_rgb
from hdetr_d2.errors import UserError
from hdetr_d2.inference.loading import load_model
from hdetr_d2.inference.results import Result, coco_results
from hdetr_d2.visualization import Shapes

Picture: TypeAlias = str | Path | np.ndarray | Image.Image
"""A file; an array of integers: [H, W, 3] in RGB (what OpenCV reads is BGR: `image[..., ::-1]`), or
grey [H, W]; or an image of Pillow. Floating-point pixels are refused. Where pixels have more than 8
bits, `mapper.pixel_range` is white, that of the training data; where these had none, 65535 for
uint16, and 255 for an array of another type with no higher value."""
Mapped: TypeAlias = tuple[Picture, dict | BadImageError]


class Predictor:
    """Finds objects in images: `Predictor("model_final.pth")(images)`. The model is read once.

    Attributes:
        model, mapper, class_names: see `Loaded`.
    """

    def __init__(
        self, checkpoint: str | Path, *, device: str = "auto", trust: str | Sequence[str] = ()
    ) -> None:
        """
        The file is data: no code in it is run, and its config can only name parts of models, and
        classes of the packages in `trust`.

        Args:
            checkpoint: a .pth file that `train_net.py` wrote.
            device: "auto", "cpu", "cuda", "cuda:1", ...
            trust: packages of your own whose classes the model is made of, too; those of a file
                that came from elsewhere are whatever that file asks for.

        Raises:
            UserError: the file cannot be read, was not written by `train_net.py`, asks for what is
                no part of a model, or does not fit its own config; or the device is absent.
        """
        self.model, self.mapper, self.class_names = load_model(checkpoint, device, trust)

    def __call__(
        self,
        images: Picture | Iterable[Picture],
        *,
        score_threshold: float = 0.5,
        batch_size: int = 1,
    ) -> list[Result]:
        """Find the objects of images.

        Args:
            images: one, or any number of them; a generator is asked for `batch_size` at a time.
            score_threshold: detections below it are left out; from 0 to 1.
            batch_size: images of one forward pass.

        Returns:
            The detections of all images (see `Result`), best first within an image. `image_id`
            counts the images from 1.

        Raises:
            UserError: an image cannot be read, or is no image; a threshold that no score is.
        """
        check_score_threshold(score_threshold)
        given = [images] if isinstance(images, Picture) else images
        results: list[Result] = []
        for image_id, (image, shapes) in enumerate(self.detect(given, batch_size), start=1):
            if isinstance(shapes, BadImageError):
                raise shapes
            found, name = shapes.above(score_threshold), file_name(image)
            results += coco_results(found, self.class_names, image_id=image_id, file_name=name)
        return results

    def detect(
        self, images: Iterable[Picture], batch_size: int = 1
    ) -> Iterator[tuple[Picture, Shapes | BadImageError]]:
        """Find the objects of each image, in order.

        Yields:
            The image, and its objects in pixels of the upright image, best first; or what is wrong
            with it.

        Raises:
            UserError: a batch of nothing.
        """
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size} must be at least 1")
        batch: list[Mapped] = []
        for image in images:
            batch.append((image, self._read(image)))
            if len(batch) == batch_size:
                yield from self._detect(batch)
                batch = []
        yield from self._detect(batch)

    def picture(self, path: str | Path) -> Image.Image:
        """An image file as the model sees it, before it is resized: RGB, upright.

        Raises:
            BadImageError: it cannot be read.
        """
        return Image.fromarray(read_image(path, self._pixel_range))

    @property
    def _pixel_range(self) -> int | None:
        return getattr(self.mapper, "pixel_range", None)

    def _read(self, image: Picture) -> dict | BadImageError:
        name = file_name(image)
        entry: dict = {"file_name": name or "an image in memory"}
        try:
            if name is None:
                entry["image"] = to_rgb(image, self._pixel_range)
            return self.mapper(entry)
        except BadImageError as error:
            return error

    def _detect(self, batch: Sequence[Mapped]) -> Iterator[tuple[Picture, Shapes | BadImageError]]:
        inputs = [item for _, item in batch if not isinstance(item, BadImageError)]
        with torch.inference_mode():
            outputs = iter(self.model(inputs) if inputs else ())
        for image, item in batch:
            if isinstance(item, BadImageError):
                yield image, item
            else:
                yield image, shapes_of(next(outputs)["instances"])


def check_score_threshold(threshold: float) -> None:
    """Scores are from 0 to 1.

    Raises:
        UserError: the threshold is not: nothing, or everything, would be above it.
    """
    if not 0 <= threshold <= 1:  # NaN is neither
        percent = f"; for {threshold:g} percent write {threshold / 100:g}" if threshold > 1 else ""
        raise UserError(f"score_threshold={threshold:g} must be from 0 to 1{percent}")


def file_name(image: Picture) -> str | None:
    """None of an image in memory."""
    return str(image) if isinstance(image, str | Path) else None


def shapes_of(instances: Instances) -> Shapes:
    """What a detector returns, as something to draw, best first: a detector may keep the order of
    its queries.
    """
    instances = instances.to("cpu")
    instances = instances[instances.scores.argsort(descending=True, stable=True)]
    masks = instances.pred_masks if instances.has("pred_masks") else None
    boxes, scores = instances.pred_boxes.tensor, instances.scores
    return Shapes(boxes, instances.pred_classes, scores, masks)
