"""A trained model that stays loaded, for images in files and in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

from hdetr_d2.errors import UserError
from hdetr_d2.pixels import BadImageError, ImageFormat
from hdetr_d2.runtime.checks import check_batch_size, check_score_threshold
from hdetr_d2.runtime.collected import Results
from hdetr_d2.runtime.pictures import Picture, each_picture
from hdetr_d2.runtime.session import ExportedDetector, Session
from hdetr_d2.runtime.shapes import Shapes
from hdetr_d2.runtime.tiles import TiledDetector
from hdetr_d2.utils.checkpoint_folder import refuse_checkpoints
from hdetr_d2.utils.own_modules import own_module


class Seen(NamedTuple):
    """An image as given; its upright pixels, [H, W, C] in the detector's format; and its objects in
    these pixels, best first.
    """

    image: Picture
    pixels: np.ndarray
    shapes: Shapes


class Detector(Protocol):
    """A trained model read from a file, independent of the runtime.

    class_names: by class index. image_format: format of the images that it was trained on.
    """

    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def image_format(self) -> ImageFormat: ...

    def read(self, entry: dict) -> dict:
        """Prepares an image for `find`, given a data set entry with "file_name" and, if it is in
        memory, "image", [H, W, C] in the detector's format.

        Raises:
            BadImageError: the image cannot be read.
        """

    def find(self, batch: Sequence[dict]) -> list[Shapes]:
        """Finds the objects of prepared images, in pixels of the upright images, best first."""


# File ending -> session class, imported on demand because each needs its own library. Any other
# file is a checkpoint.
SESSIONS = {
    ".onnx": "hdetr_d2.runtime.onnx_session.OnnxSession",
    ".xml": "hdetr_d2.runtime.openvino_session.OpenVINOSession",
    ".pt2": "hdetr_d2.inference.program.ProgramSession",
}
CHECKPOINTS = "hdetr_d2.inference.loading.open_checkpoint"
SAVE = "hdetr_d2.model_zoo.saving.save_pretrained"
SAFETENSORS = "model.safetensors"
"""File present in folders written by `Predictor.save_pretrained`, but not in those of exported
models.
"""


class Predictor:
    """Finds objects in images: `Predictor("model_final.pth")(images)`. The model is loaded once.

    Threads may share it, and it can be pickled, for processes. A forked process may use that of its
    parent; PyTorch then runs on one thread there. A batch pads its images to a common size, so
    their scores differ a little from those of single images.

    Attributes:
        detector: the model; for a checkpoint it has the attributes `model` and `mapper`.
        class_names: by class index.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        device: str = "auto",
        precision: str = "float32",
        trust: str | Sequence[str] = (),
    ) -> None:
        """
        The file is treated as data: no code in it is run, and its config can only name parts of
        models, and classes of the packages in `trust`.

        Args:
            model: a .pth file written by `train_net.py`, a folder written by `save_pretrained`, or
                the output of `hdetr-d2 export`: a .onnx or .pt2 file, or an OpenVINO folder. ONNX
                and OpenVINO need no PyTorch.
            device: "auto", "cpu", "cuda", "cuda:1", ...; for OpenVINO also its own names ("GPU").
            precision: precision of a checkpoint's forward pass: "float32", "bfloat16" or, with
                CUDA, "float16"; that of an exported file is fixed.
            trust: your own packages that define classes of the model. Do not trust a package only
                because a file from elsewhere asks for it.

        Raises:
            UserError: the file cannot be read, was not written by `train_net.py` or
                `hdetr-d2 export`, asks for something that is not part of a model, or does not fit
                its own config; its runtime is not installed; or the device is missing or does not
                support the precision.
        """
        self.detector = open_detector(model, device, trust, precision=precision)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.detector.class_names

    def tiled(self, side: int, overlap: float = 0.2, *, batch_size: int = 1) -> "Predictor":
        """Returns a predictor with the same model that processes large images in tiles; see
        `TiledDetector`.

        Args:
            side: side of a tile in pixels; a side at which objects appear to the model as large as
                in training is best.
            overlap: fraction of a tile shared with its neighbour; should be at least the size of
                the largest object to be found in tiles.
            batch_size: number of tiles per forward pass.

        Raises:
            UserError: an invalid tiling.
        """
        tiled = copy(self)
        tiled.detector = TiledDetector(
            self.detector, side=side, overlap=overlap, batch_size=batch_size
        )
        return tiled

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the model to a folder for sharing: the weights used in evaluation, config, class
        names, and a model card with what is known about the training. `Predictor` and
        `hdetr_d2.from_pretrained` accept the folder.

        Args:
            folder: new or empty; it is written completely or not at all.

        Raises:
            UserError: the folder cannot be written, or the predictor's model is not a checkpoint.
        """
        _imported(SAVE, "save_pretrained")(self.detector, folder)

    def __call__(
        self,
        images: Picture | Iterable[Picture],
        *,
        score_threshold: float = 0.5,
        batch_size: int = 1,
    ) -> Results:
        """Finds the objects in images.

        Args:
            images: one image, or any number of them; a generator is consumed `batch_size` images at
                a time.
            score_threshold: lower-scored detections are dropped; from 0 to 1.
            batch_size: number of images per forward pass.

        Returns:
            The detections of all images, a list of `Result`, best first within each image, which
            can be converted to types of other libraries. `image_id` numbers the images from 1.

        Raises:
            UserError: an image cannot be read or has an unsupported type, the threshold is outside
                of [0, 1], or the batch size is no whole number above 0.
        """
        check_score_threshold(score_threshold)
        results = Results(self.class_names)
        for image_id, seen in enumerate(self.detect(each_picture(images), batch_size), start=1):
            if isinstance(seen, BadImageError):
                raise seen
            found = seen.shapes.above(score_threshold)
            results.add(image_entry(seen, image_id), found)
        return results

    def detect(
        self, images: Iterable[Picture], batch_size: int = 1
    ) -> Iterator[Seen | BadImageError]:
        """Finds the objects of each image, in order.

        Yields:
            For each image, the image with its objects, or the error if it cannot be read.

        Raises:
            UserError: a batch size that is no whole number, or below 1.
        """
        check_batch_size(batch_size)
        batch: list[tuple[Picture, np.ndarray, dict] | BadImageError] = []
        for image in images:
            batch.append(self._read(image))
            if len(batch) == batch_size:
                yield from self._detect(batch)
                batch = []
        yield from self._detect(batch)

    def picture(self, pixels: np.ndarray) -> Image.Image:
        """Converts the pixels of a `Seen` to an image for display."""
        return Image.fromarray(self.detector.image_format.picture(pixels))

    def _read(self, image: Picture) -> tuple[Picture, np.ndarray, dict] | BadImageError:
        """The image, its pixels, and the input for `Detector.find`."""
        name, form = file_name(image), self.detector.image_format
        try:
            pixels = form.take(image) if name is None else form.read(name)
            entry = {"file_name": name or "an image in memory", "image": pixels}
            return image, pixels, self.detector.read(entry)
        except BadImageError as error:
            return error

    def _detect(
        self, batch: Sequence[tuple[Picture, np.ndarray, dict] | BadImageError]
    ) -> Iterator[Seen | BadImageError]:
        inputs = [each[2] for each in batch if not isinstance(each, BadImageError)]
        outputs = iter(self.detector.find(inputs) if inputs else ())
        for each in batch:
            yield each if isinstance(each, BadImageError) else Seen(*each[:2], next(outputs))


def open_detector(
    model: str | Path,
    device: str = "auto",
    trust: str | Sequence[str] = (),
    threads: int | None = None,
    precision: str = "float32",
) -> Detector:
    """Opens a model for `Predictor`, according to the name of the file.

    Args:
        threads: number of threads; None uses all cores. PyTorch has one setting for all models of a
            process.
    """
    if not is_exported(model):
        return _imported(CHECKPOINTS, model)(model, device, trust, threads, precision)
    if precision != "float32":
        raise UserError(
            f"precision={precision}: {model} has the one that it was exported in (--precision of "
            "hdetr-d2 export)"
        )
    return ExportedDetector(open_session(model, device, threads), model)


def is_exported(model: str | Path) -> bool:
    """Whether a file (by its name) or a folder was written by `hdetr-d2 export`."""
    path = Path(model)
    return path.suffix in SESSIONS or (path.is_dir() and not (path / SAFETENSORS).is_file())


def open_session(model: str | Path, device: str = "auto", threads: int | None = None) -> Session:
    """Opens an exported file, or the folder of an OpenVINO model.

    Raises:
        UserError: see `Predictor`.
    """
    path = Path(model)
    found = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if not found:
        refuse_checkpoints(path)
    if len(found) != 1:
        raise UserError(
            f"{path} is a folder with {len(found)} .xml files: that of an OpenVINO model has one "
            f"(and that of a checkpoint a {SAFETENSORS})"
        )
    if not found[0].is_file():
        raise UserError(f"{path} does not exist")
    return _imported(SESSIONS[found[0].suffix], found[0])(found[0], device, threads)


def _imported(name: str, what: object) -> Callable[..., Any]:
    module, _, own = name.rpartition(".")
    return getattr(own_module(module, what), own)


def file_name(image: Picture) -> str | None:
    """The path of an image as text; None for an image in memory."""
    return str(image) if isinstance(image, str | Path) else None


def image_entry(seen: Seen, image_id: int) -> dict[str, Any]:
    """The COCO entry of an image; `file_name` is None for images in memory."""
    height, width = seen.pixels.shape[:2]
    name = file_name(seen.image)
    return {"id": image_id, "file_name": name, "width": width, "height": height}
