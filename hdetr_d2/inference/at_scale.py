"""Prediction on very many images by any number of independent processes."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from detectron2.utils.logger import log_every_n_seconds

from hdetr_d2.engine.device import choose_device
from hdetr_d2.errors import UserError
from hdetr_d2.inference.appended import Appended, JsonLines, Parquet, Row
from hdetr_d2.inference.names import Named, as_text, named_images
from hdetr_d2.inference.outputs import is_like_a_file
from hdetr_d2.pixels import BadImageError, ImageFormat
from hdetr_d2.pixels.images import IN_MEMORY
from hdetr_d2.runtime.options import InferenceOptions
from hdetr_d2.runtime.predictor import Predictor, image_entry
from hdetr_d2.runtime.results import coco_results
from hdetr_d2.runtime.writers import json_line
from hdetr_d2.utils.json_file import read_json
from hdetr_d2.utils.strict_json import to_json

logger = logging.getLogger(__name__)

FORMATS: dict[str, Callable[[Path], Appended]] = {"jsonl": JsonLines, "parquet": Parquet}


@dataclass(frozen=True)
class Share:
    """The images of one process among several: every `count`-th image, starting at number `rank`.

    local_rank: rank of the process on its machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @classmethod
    def of_torchrun(cls, environment: Mapping[str, str] = os.environ) -> "Share":
        """The share set by torchrun or compatible launchers; without them, that of a single
        process.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        if not all(name in environment for name in names):
            return cls()
        return cls(*(int(environment[name]) for name in names))


def predict_at_scale(
    checkpoint: str | Path,
    images: Sequence[str | Path],
    output: str | Path,
    options: InferenceOptions,
    *,
    format: Sequence[str] | None = None,
    share: Share | None = None,
) -> int:
    """Appends the detections in this process's share of the images to its own file in `output`. If
    called again after a kill, it continues where it stopped: no image appears twice, and none is
    left out. Memory use does not grow with the number of images.

    Args:
        checkpoint: see `Predictor`.
        images: see `named_images`.
        output: folder for `results-00000-of-00002.jsonl` and so on, and `run.json`.
        format: one of "jsonl" (the default), one line per image (see `Row`), and "parquet", files
            of 10,000 images each.
        share: None uses the share set by torchrun.

    Returns:
        The number of images processed in this call.

    Raises:
        UserError: the results in `output` are of other images, options or numbers of processes; or
            see `predict`. An image that cannot be read yields a row with `error` instead.
    """
    share = Share.of_torchrun() if share is None else share
    kind, *others = format or ["jsonl"]
    if others or kind not in FORMATS:
        raise UserError(f"appended results are in one of the formats {', '.join(FORMATS)}")
    folder = Path(output)
    if is_like_a_file(folder):
        raise UserError(f"results are appended to a folder, but {folder} is like a file: name one")
    asked = {"checkpoint": str(checkpoint), "images": [*map(str, images)], "format": kind}
    asked |= {key: getattr(options, key) for key in ("score_threshold", "tile", "precision")}
    _take_folder(folder, share.rank, asked | {"processes": share.count})
    appended: Appended = FORMATS[kind](folder / f"results-{share.rank:05d}-of-{share.count:05d}")
    try:
        device = choose_device(options.device, share.local_rank, option="device")
        predictor = replace(options, device=str(device)).open(checkpoint)
        left = _left(images, share, appended, predictor.detector.image_format)
        return _append(predictor, left, appended, share, options)
    finally:
        appended.close()


def _take_folder(folder: Path, rank: int, asked: Mapping[str, object]) -> None:
    """Creates the folder and its run.json; raises UserError if it belongs to another run."""
    path = folder / "run.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # All processes write the same content, each through its own draft file.
            draft = folder / f"run.json.{rank}"
            draft.write_text(to_json(asked), encoding="utf-8")
            draft.replace(path)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    before = read_json(path)
    for name, value in asked.items():
        if before.get(name) != value:
            raise UserError(
                f"{folder} holds results with {name}={before.get(name)}, and now it is {value}: "
                "give the same, or another folder"
            )


def _left(
    images: Sequence[str | Path], share: Share, appended: Appended, image_format: ImageFormat
) -> Iterator[tuple[int, Named]]:
    """The images of a share that come after those already appended.

    Raises:
        UserError: the name of the last appended image has changed.
    """
    last = share.rank + share.count * (appended.done - 1)
    first = last if appended.done else share.rank
    numbered = named_images(images, first=first, every=share.count, image_format=image_format)
    if not appended.done:
        yield from numbered
        return
    number, named = next(numbered, (last, Named("")))
    row = appended.last or {}
    if (row.get("id"), row.get("file_name")) != (number + 1, as_text(named.name)):
        raise UserError(
            f"the images have changed: number {number + 1} was {row.get('file_name')} and is "
            f"{as_text(named.name) or 'missing'} now: give another folder for the results"
        )
    yield from numbered


def _append(
    predictor: Predictor,
    images: Iterable[tuple[int, Named]],
    appended: Appended,
    share: Share,
    options: InferenceOptions,
) -> int:
    """Appends a row for each image; returns the number of images."""
    start, done = time.perf_counter(), 0
    for batch in _batches(images, options.batch_size):
        for row in _rows(predictor, batch, options.score_threshold):
            appended.write(row)
        done += len(batch)
        rate = done / (time.perf_counter() - start)
        log_every_n_seconds(logging.INFO, f"{done} images, {rate:.1f} images/s", n=30)
    seconds = time.perf_counter() - start
    who, rate = f"process {share.rank} of {share.count}", done / seconds
    logger.info("%s: %d images in %.1f s, %.1f images/s", who, done, seconds, rate)
    return done


def _batches(images: Iterable[tuple[int, Named]], size: int) -> Iterator[list[tuple[int, Named]]]:
    iterator = iter(images)
    while batch := list(islice(iterator, size)):
        yield batch


def _rows(
    predictor: Predictor, batch: Sequence[tuple[int, Named]], score_threshold: float
) -> Iterator[Row]:
    """One row for each image, in order."""
    detections = predictor.detect([named.picture for _, named in batch], len(batch))
    for (number, named), seen in zip(batch, detections, strict=True):
        name = as_text(named.name)
        known = {"id": number + 1, "file_name": name}
        if isinstance(seen, BadImageError):
            yield {**known, "error": as_text(str(seen)).replace(IN_MEMORY, name, 1)}
            continue
        found = seen.shapes.above(score_threshold)
        results = coco_results(found, predictor.class_names, image_id=number + 1, file_name=name)
        yield json_line({**image_entry(seen, number + 1), **known}, results)
