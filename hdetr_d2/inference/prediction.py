"""From a checkpoint and image files to boxes, a COCO json and drawn pictures."""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from hdetr_d2.data.images import BadImageError, read_image
from hdetr_d2.errors import UserError
from hdetr_d2.inference.predictor import Predictor
from hdetr_d2.inference.results import Result, coco_content, coco_results
from hdetr_d2.visualization import Shapes, draw_shapes

logger = logging.getLogger(__name__)
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
PICTURES = "pictures"
Source = str | Path


def predict(
    checkpoint: Source,
    images: Source | Sequence[Source],
    *,
    output: Source | None = None,
    score_threshold: float = 0.5,
    device: str = "auto",
    batch_size: int = 1,
    trust: str | Sequence[str] = (),
) -> list[Result]:
    """Find objects in image files with a trained model, which is read for this call. `Predictor` is
    for many calls, and for images in memory.

    Args:
        checkpoint: a .pth file that `train_net.py` wrote; it knows its model and class names.
        images: a file, a folder (with its subfolders), or a list of these.
        output: folder for `predictions.json` (a COCO json) and `pictures/`; None writes nothing.
            The pictures of an earlier call are not looked at, should it lie in a folder of images.
        score_threshold: detections below it are left out.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        batch_size: images of one forward pass.
        trust: packages of your own that the model has classes of: they are imported.

    Returns:
        The detections of all images (see `Result`), best first within an image. `image_id` counts
        from 1 in the order of `find_images`.

    Raises:
        UserError: no image can be read, or the checkpoint or device cannot be used. One broken
            image among others is named in the log and left out.
    """
    paths = find_images(images, besides=None if output is None else Path(output) / PICTURES)
    predictor = Predictor(checkpoint, device=device, trust=trust)
    writer = None if output is None else _Writer(Path(output), predictor.class_names, paths)
    results: list[Result] = []
    problems: list[BadImageError] = []
    detections = tqdm(
        predictor.detect(paths, batch_size), total=len(paths), unit="image", disable=None
    )
    for image_id, (path, (_, shapes)) in enumerate(zip(paths, detections, strict=True), start=1):
        if isinstance(shapes, BadImageError):
            problems.append(shapes)
            logger.warning("Left out: %s", shapes)
            continue
        found = shapes.above(score_threshold)
        names = predictor.class_names
        results += coco_results(found, names, image_id=image_id, file_name=str(path))
        if writer is not None:
            writer.draw(image_id, path, found)
    if len(problems) == len(paths):
        raise problems[0]
    if writer is not None:
        writer.finish(results)
    return results


def find_images(sources: Source | Sequence[Source], *, besides: Path | None = None) -> list[Path]:
    """Every image file that is named, or lies in or below a named folder; those of a folder sorted.

    Args:
        besides: a folder that is left out where it lies below a named one.

    Raises:
        UserError: a source that does not exist, or no image at all.
    """
    given: Any = [sources] if isinstance(sources, str) else sources
    listed = list(given) if isinstance(given, Iterable) else [given]
    if odd := [source for source in listed if not isinstance(source, str | Path)]:
        raise UserError(
            f"images are files and folders here, not of type {type(odd[0]).__name__}: "
            "hdetr_d2.Predictor(checkpoint) takes images in memory"
        )
    found: dict[Path, None] = {}
    for source in map(Path, listed):
        if source.is_dir():
            found |= dict.fromkeys(_images_below(source, besides))
        elif source.is_file():
            found[source] = None
        else:
            raise UserError(f"{source} does not exist")
    if not found:
        raise UserError(
            f"no images ({', '.join(sorted(ENDINGS))}) in {', '.join(map(str, listed))}"
        )
    return list(found)


def _images_below(folder: Path, besides: Path | None) -> Iterable[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if besides is None:
        return found
    left_out = besides.resolve()
    return [path for path in found if left_out not in path.resolve().parents]


class _Writer:
    """Fills the output folder: `pictures/` as the images go by, `predictions.json` at the end."""

    def __init__(self, folder: Path, class_names: Sequence[str], paths: Sequence[Path]) -> None:
        self.folder = folder
        self.class_names = class_names
        self.images: list[dict] = []
        # Pictures keep their places below the folder that all images share: no two have one name.
        self.root = Path(os.path.commonpath([path.resolve().parent for path in paths]))
        with _writing_to(folder):
            (folder / PICTURES).mkdir(parents=True, exist_ok=True)

    def draw(self, image_id: int, path: Path, shapes: Shapes) -> None:
        """A picture that cannot be written is named in the log: its detections are not lost."""
        image = Image.fromarray(read_image(path))
        target = self._place(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draw_shapes(image, shapes, self.class_names).save(target)
        except (OSError, ValueError) as error:
            logger.warning("No picture of %s: %s", path, error)
        size = {"width": image.width, "height": image.height}
        self.images.append({"id": image_id, "file_name": str(path), **size})

    def _place(self, path: Path) -> Path:
        """Where the picture of `path` goes; as PNG if no image is written in its own format."""
        place = self.folder / PICTURES / path.resolve().relative_to(self.root)
        return place if path.suffix.lower() in ENDINGS else place.with_name(f"{place.name}.png")

    def finish(self, results: Sequence[Result]) -> None:
        content = coco_content(self.images, results, self.class_names)
        target = self.folder / "predictions.json"
        with _writing_to(self.folder):
            target.write_text(json.dumps(content), encoding="utf-8")
        logger.info("%d detections in %d images: %s", len(results), len(self.images), target)


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
