"""A trained model that is kept, for images in files and in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from PIL import Image

from hdetr_d2.errors import UserError
from hdetr_d2.pixels import BadImageError, ImageFormat
from hdetr_d2.runtime.collected import Results
from hdetr_d2.runtime.session import ExportedDetector, Session
from hdetr_d2.runtime.shapes import Shapes
from hdetr_d2.runtime.tiles import TiledDetector

Picture: TypeAlias = str | Path | bytes | np.ndarray | Image.Image
"""A file; an array of integers: [H, W, 3] in RGB (what OpenCV reads is BGR: `image[..., ::-1]`), or
grey [H, W]; an image of Pillow; or the bytes of a file. Floating-point pixels are refused. Where
pixels have more than 8 bits, `image_format.pixel_range` of the detector is white, that of the
training data; where these had none, 65535 for uint16, and 255 for an array of another type with no
higher value. Of a detector with channels of its own: see `MultiChannel`."""


class Seen(NamedTuple):
    """An image as it was given; its pixels, upright, [H, W, C] of the detector's format; and its
    objects in these pixels, best first.
    """

    image: Picture
    pixels: np.ndarray
    shapes: Shapes


class Detector(Protocol):
    """What a file of a trained model becomes, whatever computes it.

    class_names: by class index. image_format: of the images that it was trained on.
    """

    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def image_format(self) -> ImageFormat: ...

    def read(self, entry: dict) -> dict:
        """What `find` takes of an image: of an entry of a data set with "file_name", and "image",
        [H, W, C] of the format, where it is in memory.

        Raises:
            BadImageError: it cannot be read.
        """

    def find(self, batch: Sequence[dict]) -> list[Shapes]:
        """The objects of images that were read, in pixels of the upright ones, best first."""


# The end of a file's name -> the session with it, which is imported then: each needs a library of
# its own. Everything else is a checkpoint.
SESSIONS = {
    ".onnx": "hdetr_d2.runtime.onnx_session.OnnxSession",
    ".xml": "hdetr_d2.runtime.openvino_session.OpenVINOSession",
    ".pt2": "hdetr_d2.inference.program.ProgramSession",
}
CHECKPOINTS = "hdetr_d2.inference.loading.open_checkpoint"
SAVE = "hdetr_d2.model_zoo.saving.save_pretrained"
SAFETENSORS = "model.safetensors"
"""In the folder of a checkpoint that `Predictor.save_pretrained` wrote; in no exported one."""


class Predictor:
    """Finds objects in images: `Predictor("model_final.pth")(images)`. The model is read once.

    Attributes:
        detector: what computes: of a checkpoint with its `model` and `mapper`.
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
        The file is data: no code in it is run, and its config can only name parts of models, and
        classes of the packages in `trust`.

        Args:
            model: a .pth file that `train_net.py` wrote, a folder that `save_pretrained` wrote, or
                what `hdetr-d2 export` wrote: a .onnx or .pt2 file, or a folder of OpenVINO's. Those
                of ONNX and OpenVINO need no PyTorch.
            device: "auto", "cpu", "cuda", "cuda:1", ...; of OpenVINO also its own names ("GPU").
            precision: of the forward pass of a checkpoint, "float32", "bfloat16", or with CUDA
                "float16"; what is exported has its own.
            trust: packages of your own whose classes the model is made of, too; those of a file
                that came from elsewhere are whatever that file asks for.

        Raises:
            UserError: the file cannot be read, was not written by `train_net.py` or `hdetr-d2
                export`, asks for what is no part of a model, or does not fit its own config; what
                runs it is not installed; or the device is absent, or has not that precision.
        """
        self.detector = open_detector(model, device, trust, precision=precision)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.detector.class_names

    def tiled(self, side: int, overlap: float = 0.2, *, batch_size: int = 1) -> "Predictor":
        """One with the same model that looks at large images tile by tile; see `TiledDetector`.

        Args:
            side: of a tile in pixels: objects are then as large to the model as in training.
            overlap: the share of a tile that its neighbour has, too: at least the largest object
                that is found in tiles.
            batch_size: tiles of one forward pass.

        Raises:
            UserError: tiles that no image can be divided into.
        """
        tiled = copy(self)
        tiled.detector = TiledDetector(
            self.detector, side=side, overlap=overlap, batch_size=batch_size
        )
        return tiled

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model to be shared: weights as evaluation uses them, config, names of the
        classes, and a model card with what is known of the training. `Predictor` and
        `hdetr_d2.from_pretrained` take the folder.

        Args:
            folder: new or empty; it is either written whole or left alone.

        Raises:
            UserError: it cannot be written, or this is no checkpoint's predictor.
        """
        _imported(SAVE)(self.detector, folder)

    def __call__(
        self,
        images: Picture | Iterable[Picture],
        *,
        score_threshold: float = 0.5,
        batch_size: int = 1,
    ) -> Results:
        """Find the objects of images.

        Args:
            images: one, or any number of them; a generator is asked for `batch_size` at a time.
            score_threshold: detections below it are left out; from 0 to 1.
            batch_size: images of one forward pass.

        Returns:
            The detections of all images, a list of `Result`, best first within an image, which
            other libraries' types can be made of. `image_id` counts the images from 1.

        Raises:
            UserError: an image cannot be read, or is no image; a threshold that no score is.
        """
        check_score_threshold(score_threshold)
        given = [images] if isinstance(images, Picture) else images
        results = Results(self.class_names)
        for image_id, seen in enumerate(self.detect(given, batch_size), start=1):
            if isinstance(seen, BadImageError):
                raise seen
            found = seen.shapes.above(score_threshold)
            results.add(image_entry(seen, image_id), found)
        return results

    def detect(
        self, images: Iterable[Picture], batch_size: int = 1
    ) -> Iterator[Seen | BadImageError]:
        """Find the objects of each image, in order.

        Yields:
            The image with its objects; or what is wrong with it.

        Raises:
            UserError: a batch of nothing.
        """
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size} must be at least 1")
        batch: list[tuple[Picture, np.ndarray, dict] | BadImageError] = []
        for image in images:
            batch.append(self._read(image))
            if len(batch) == batch_size:
                yield from self._detect(batch)
                batch = []
        yield from self._detect(batch)

    def picture(self, pixels: np.ndarray) -> Image.Image:
        """Those of `Seen` for people."""
        return Image.fromarray(self.detector.image_format.picture(pixels))

    def _read(self, image: Picture) -> tuple[Picture, np.ndarray, dict] | BadImageError:
        """The image, its pixels, and what `Detector.find` takes of it."""
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
    """What `Predictor` opens, by the name of the file.

    Args:
        threads: that compute; None for as many as there are cores. PyTorch has one number for all
            models of a process.
    """
    if not is_exported(model):
        return _imported(CHECKPOINTS)(model, device, trust, threads, precision)
    if precision != "float32":
        raise UserError(
            f"precision={precision}: {model} has the one that it was exported in (--precision of "
            "hdetr-d2 export)"
        )
    return ExportedDetector(open_session(model, device, threads), model)


def is_exported(model: str | Path) -> bool:
    """Whether a file, by its name, or a folder is one that `hdetr-d2 export` writes."""
    path = Path(model)
    return path.suffix in SESSIONS or (path.is_dir() and not (path / SAFETENSORS).is_file())


def open_session(model: str | Path, device: str = "auto", threads: int | None = None) -> Session:
    """An exported file, or the folder of an OpenVINO model.

    Raises:
        UserError: see `Predictor`.
    """
    path = Path(model)
    found = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if len(found) != 1:
        raise UserError(
            f"{path} is a folder with {len(found)} .xml files: that of an OpenVINO model has one "
            f"(and that of a checkpoint a {SAFETENSORS})"
        )
    if not found[0].is_file():
        raise UserError(f"{path} does not exist")
    return _imported(SESSIONS[found[0].suffix])(found[0], device, threads)


def _imported(name: str) -> Callable[..., Any]:
    module, _, own = name.rpartition(".")
    return getattr(import_module(module), own)


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


def image_entry(seen: Seen, image_id: int) -> dict[str, Any]:
    """COCO's entry of an image; `file_name` is None of one in memory."""
    height, width = seen.pixels.shape[:2]
    name = file_name(seen.image)
    return {"id": image_id, "file_name": name, "width": width, "height": height}
