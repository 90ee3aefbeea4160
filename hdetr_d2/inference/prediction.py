"""From a checkpoint and image files to boxes, a COCO json and drawn pictures."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from hdetr_d2.data.survey import pages_sentence, survey
from hdetr_d2.errors import UserError
from hdetr_d2.inference.files import Source, find_images, is_drawn_in_place
from hdetr_d2.pixels.images import BadImageError
from hdetr_d2.runtime.predictor import Predictor, check_score_threshold
from hdetr_d2.runtime.results import Result, coco_content, coco_results
from hdetr_d2.utils.strict_json import to_json
from hdetr_d2.visualization import Shapes, draw_shapes

logger = logging.getLogger(__name__)
PICTURES = "pictures"


def predict(
    checkpoint: Source,
    images: Source | Sequence[Source],
    *,
    output: Source | None = None,
    score_threshold: float = 0.5,
    device: str = "auto",
    batch_size: int = 1,
    tile: int | None = None,
    overlap: float = 0.2,
    trust: str | Sequence[str] = (),
) -> list[Result]:
    """Find objects in image files with a trained model, which is read for this call. `Predictor` is
    for many calls, and for images in memory.

    Args:
        checkpoint: a .pth file that `train_net.py` wrote; it knows its model and class names.
        images: a file, a folder (with its subfolders), or a list of these.
        output: folder for `predictions.json` (a COCO json) and `pictures/`; None writes nothing.
            The pictures of an earlier call are not looked at, should it lie in a folder of images.
        score_threshold: detections below it are left out; from 0 to 1.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        batch_size: images, or tiles, of one forward pass.
        tile: side in pixels of the tiles that large images are divided into; None looks at images
            as a whole.
        overlap: the share of a tile that its neighbour has, too.
        trust: packages of your own that the model has classes of: they are imported.

    Returns:
        The detections of all images (see `Result`), best first within an image. `image_id` counts
        from 1 in the order of `find_images`.

    Raises:
        UserError: no image can be read, the checkpoint or device cannot be used, no score can be
            the threshold, or no image has such tiles. One broken image among others is named in
            the log and left out.
    """
    check_score_threshold(score_threshold)
    paths = find_images(images, besides=None if output is None else Path(output) / PICTURES)
    if with_pages := survey([*map(str, paths)]).with_pages:
        logger.warning(pages_sentence(with_pages))
    predictor = Predictor(checkpoint, device=device, trust=trust)
    if tile is not None:
        predictor = predictor.tiled(tile, overlap, batch_size=batch_size)
    writer = None if output is None else _Writer(Path(output), predictor, paths)
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


class _Writer:
    """Fills the output folder: `pictures/` as the images go by, `predictions.json` at the end."""

    def __init__(self, folder: Path, predictor: Predictor, paths: Sequence[Path]) -> None:
        self.folder = folder
        self.predictor = predictor
        self.images: list[dict] = []
        # Pictures keep their places below the folder that all images share: no two have one name.
        self.root = Path(os.path.commonpath([path.resolve().parent for path in paths]))
        with _writing_to(folder):
            (folder / PICTURES).mkdir(parents=True, exist_ok=True)

    def draw(self, image_id: int, path: Path, shapes: Shapes) -> None:
        """A picture that cannot be written is named in the log: its detections are not lost."""
        image = self.predictor.picture(path)
        target = self._place(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draw_shapes(image, shapes, self.predictor.class_names).save(target)
        except (OSError, ValueError) as error:
            logger.warning("No picture of %s: %s", path, error)
        size = {"width": image.width, "height": image.height}
        self.images.append({"id": image_id, "file_name": str(path), **size})

    def _place(self, path: Path) -> Path:
        """Where the picture of `path` goes; as PNG if no image is written in its own format."""
        place = self.folder / PICTURES / path.resolve().relative_to(self.root)
        return place if is_drawn_in_place(path) else place.with_name(f"{place.name}.png")

    def finish(self, results: Sequence[Result]) -> None:
        content = coco_content(self.images, results, self.predictor.class_names)
        target = self.folder / "predictions.json"
        with _writing_to(self.folder):
            target.write_text(to_json(content), encoding="utf-8")
        logger.info("%d detections in %d images: %s", len(results), len(self.images), target)


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
