"""From a checkpoint and image files to detections, a COCO json and drawn pictures."""

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from tqdm import tqdm

from hdetr_d2.data.survey import pages_sentence, survey
from hdetr_d2.errors import UserError
from hdetr_d2.inference.files import Source, find_images, is_drawn_in_place
from hdetr_d2.inference.outputs import Formats, outputs_of
from hdetr_d2.pixels.images import BadImageError
from hdetr_d2.runtime.collected import Results
from hdetr_d2.runtime.options import InferenceOptions
from hdetr_d2.runtime.predictor import image_entry
from hdetr_d2.runtime.shapes import Shapes
from hdetr_d2.runtime.writers import open_writer
from hdetr_d2.visualization import draw_shapes

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hdetr_d2.runtime.options import InferenceKeywords

logger = logging.getLogger(__name__)
PICTURES = "pictures"


def predict(
    checkpoint: Source,
    images: Source | Sequence[Source],
    *,
    output: Source | None = None,
    format: Formats = None,
    **options: "Unpack[InferenceKeywords]",
) -> Results:
    """Finds objects in image files with a trained model, which is loaded for this call. For
    repeated calls, and for images in memory, use `Predictor`.

    Args:
        checkpoint: a .pth file written by `train_net.py`, which includes model and class names.
        images: a file, a folder (with its subfolders), or a list of these.
        output: folder for `predictions.json` (a COCO json) and `pictures/`; or one file, whose
            ending determines the format; None writes nothing. If this folder is inside a folder of
            images, pictures of an earlier call are not processed.
        format: formats to write to the folder instead of the COCO json: "coco", "csv", "jsonl",
            "yolo", or several of these.
        options: score_threshold, device, precision, batch_size, tile, overlap and trust, see
            `InferenceOptions`.

    Returns:
        The detections of all images, a list of `Result`, best first within each image, which can be
        converted to types of other libraries. `image_id` counts from 1 in the order of
        `find_images`.

    Raises:
        UserError: no image can be read, the checkpoint or device cannot be used, the threshold or
            the tiling is invalid, or the format is unknown. Individual unreadable images are logged
            and left out.
    """
    asked = InferenceOptions(**options)
    return predict_images(checkpoint, images, asked, output=output, format=format)


def predict_images(
    checkpoint: Source,
    images: Source | Sequence[Source],
    options: InferenceOptions,
    *,
    output: Source | None = None,
    format: Formats = None,
) -> Results:
    """See `predict`."""
    files, folder = outputs_of(output, format, default="coco")
    predictor = options.open(checkpoint)
    form = predictor.detector.image_format
    besides = None if folder is None else folder / PICTURES
    paths = find_images(images, besides=besides, image_format=form)
    if with_pages := survey([*map(str, paths)], form).with_pages:
        logger.warning(pages_sentence(with_pages))
    names = predictor.class_names
    pictures = None if folder is None else _Pictures(folder / PICTURES, names, paths)
    results = Results(names)
    problems: list[BadImageError] = []
    best = 0.0
    with ExitStack() as stack:
        writers = [stack.enter_context(open_writer(p, names, f)) for f, p in files.items()]
        detections = tqdm(
            predictor.detect(paths, options.batch_size),
            total=len(paths),
            unit="image",
            disable=None,
        )
        for image_id, (path, seen) in enumerate(zip(paths, detections, strict=True), start=1):
            if isinstance(seen, BadImageError):
                problems.append(seen)
                logger.warning("Left out: %s", seen)
                continue
            found = seen.shapes.above(options.score_threshold)
            best = max(best, _best_score(seen.shapes))
            image = image_entry(seen, image_id)
            rows = results.add(image, found)
            for writer in writers:
                writer.write(image, rows)
            if pictures is not None:
                pictures.draw(path, predictor.picture(seen.pixels), found)
    if len(problems) == len(paths):
        raise problems[0]
    for place in files.values():
        logger.info("%d detections in %d images: %s", len(results), len(results.images), place)
    if not results and best:
        least = options.score_threshold
        logger.info("No detection has a score of %g or more: the best has %.3g", least, best)
    return results


def _best_score(shapes: Shapes) -> float:
    return 0.0 if shapes.scores is None else float(shapes.scores.max(initial=0.0))


class _Pictures:
    """Draws images with their objects into a folder. Paths relative to the images' common folder
    are kept, so that names are unique.
    """

    def __init__(self, folder: Path, class_names: Sequence[str], paths: Sequence[Path]) -> None:
        self.folder = folder
        self.class_names = class_names
        self.root = Path(os.path.commonpath([path.resolve().parent for path in paths]))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}") from None

    def draw(self, path: Path, image: Image.Image, shapes: Shapes) -> None:
        """Draws an image. If the picture cannot be written, this is logged, and the detections are
        not lost.
        """
        target = self._place(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draw_shapes(image, shapes, self.class_names).save(target)
        except (OSError, ValueError) as error:
            logger.warning("No picture of %s: %s", path, error)

    def _place(self, path: Path) -> Path:
        """The file for the picture of `path`; PNG if pictures cannot be written in its own
        format.
        """
        place = self.folder / path.resolve().relative_to(self.root)
        return place if is_drawn_in_place(path) else place.with_name(f"{place.name}.png")
