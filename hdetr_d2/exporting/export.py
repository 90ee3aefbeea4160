"""From a checkpoint to a file that needs no PyTorch, verified against the model."""

from hdetr_d2 import __version__

import logging
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torchvision.transforms import v2

from hdetr_d2.data import DetrMapper, RandomShortSide
from hdetr_d2.errors import UserError
from hdetr_d2.exporting.agreement import Differences, compare
from hdetr_d2.exporting.formats import Format, format_of
from hdetr_d2.exporting.graph import DetectorGraph
from hdetr_d2.exporting.program import Plan, any_size, make_graph, trace
from hdetr_d2.inference.files import Source, find_images
from hdetr_d2.inference.loading import TrainedDetector, open_checkpoint
from hdetr_d2.modeling import DETR, PostProcessing
from hdetr_d2.modeling.preprocessing import GreySquare
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat
from hdetr_d2.pixels.resize_rule import ResizeRule
from hdetr_d2.runtime.card import Card
from hdetr_d2.runtime.checks import check_pair, check_whole
from hdetr_d2.runtime.predictor import SESSIONS, open_session
from hdetr_d2.runtime.session import fed, stacked

logger = logging.getLogger(__name__)

TOLERANCES = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 0.15, "int8": 0.3}
"""Allowed differences of scores, by precision; boxes may differ by a fifth of it, relative to the
longer side of an image. Objects scored below `SEEN` do not count if the arithmetic itself differs.
"""
SEEN = 0.3
_CHECKED, _CALIBRATED = 4, 64
"""Number of given images that are compared."""


def export(
    checkpoint: str | Path | TrainedDetector,
    output: str | Path | None = None,
    *,
    format: str = "onnx",
    size: Sequence[int] | None = None,
    batch: int | None = None,
    precision: str = "float32",
    post_processing: bool = True,
    grid_sample: bool = True,
    images: Source | Sequence[Source] | None = None,
    tolerance: float | None = None,
    trust: str | Sequence[str] = (),
) -> Path:
    """Writes a trained model as a file for other runtimes, and for `Predictor`. The file is read
    again, run, and compared with the model; it is kept only if both agree.

    Args:
        checkpoint: a .pth file written by `train_net.py`, or a folder to share; or its loaded
            model: `Predictor.detector`.
        output: the file or, for OpenVINO, the folder; None puts it beside the checkpoint.
        format: "onnx", "openvino", or "torch" (a program of torch.export).
        size: the fixed (H, W) of the graph in pixels: larger images are downscaled, and the rest is
            padded. None accepts any size: sides are then padded to multiples of some 64 pixels.
        batch: the fixed number of images at once; None for any.
        precision: "float32"; "float16" for weights of half the size; for OpenVINO "bfloat16"
            arithmetic; "int8" for backbone and encoder in 8-bit integers.
        post_processing: whether the graph outputs detections; otherwise scores and boxes of all
            queries.
        grid_sample: False implements deformable attention without GridSample.
        images: files and folders, for the comparison and, with "int8", for calibration; None
            generates some.
        tolerance: allowed difference of scores; None is suitable for the precision (`TOLERANCES`).
        trust: see `Predictor`.

    Returns:
        The path of the written file.

    Raises:
        UserError: the checkpoint cannot be used or its model cannot be exported, a library is
            missing, or file and model do not agree.
    """
    if not isinstance(checkpoint, TrainedDetector) and Path(checkpoint).suffix in SESSIONS:
        raise UserError(f"{checkpoint} is exported already: name the checkpoint that it is of")
    form = format_of(format, precision)
    target = _target(checkpoint, output, form)
    detector = (
        checkpoint
        if isinstance(checkpoint, TrainedDetector)
        else open_checkpoint(checkpoint, "cpu", trust)
    )
    model = exportable(detector)
    plan = plan_for(model, size, batch, post_processing, grid_sample, detector.image_format)
    graph = make_graph(model, plan)
    card = _card(detector, model, plan, precision, graph)
    if not _square_of(model) and (told := mostly_padding(card)):
        logger.warning(told)
    pictures = [] if images is None else _read(images, card)
    calibration = [_inputs([item], card) for item in pictures[:_CALIBRATED]]
    if precision == "int8" and not calibration:
        raise UserError("precision=int8 needs images of yours to calibrate with: --images FOLDER")
    logger.info("Tracing the model: some minutes where sizes are free")
    program = trace(graph, plan)
    with _kept_if_good(target) as draft:
        form.write(program, card, calibration, draft)
        _check(graph, card, draft, pictures, tolerance)
    logger.info("Written: %s", target)
    return target


def exportable(detector: TrainedDetector) -> DETR:
    """The detector's model.

    Raises:
        UserError: its model cannot be exported.
    """
    model = detector.model
    if not isinstance(model, DETR):
        raise UserError(f"a {type(model).__name__} is not exported: only DETR models are")
    if type(model.postprocessing) is not PostProcessing:
        name = type(model.postprocessing).__name__
        raise UserError(
            f"detections by model.postprocessing={name} are not exported: only those of queries"
        )
    return model


def resize_rule(mapper: object) -> tuple[int | None, int | None, ResizeRule]:
    """The shorter side to which a mapper resizes images, the limit of the longer side, and the
    rule.

    Raises:
        UserError: it does something else.
    """
    known = isinstance(mapper, DetrMapper)
    steps = list(mapper.augmentations.transforms) if known else [mapper]  # type: ignore[attr-defined]
    steps = [step for step in steps if not isinstance(step, v2.ClampBoundingBoxes)]
    if not steps:
        return None, None, ResizeRule()
    if len(steps) == 1 and isinstance(steps[0], RandomShortSide) and len(steps[0].sides) == 1:
        return steps[0].sides[0], steps[0].max_size, steps[0].rule
    names = ", ".join(type(step).__name__ for step in steps)
    raise UserError(
        f"dataloader.test.mapper has {names}: what is exported resizes images by one "
        "RandomShortSide with one side, or not at all"
    )


def plan_for(
    model: DETR,
    size: Sequence[int] | None,
    batch: int | None,
    post_processing: bool = True,
    grid_sample: bool = True,
    image_format: ImageFormat = EIGHT_BITS,
) -> Plan:
    """The requirements of a graph of the model; see `export`.

    Raises:
        UserError: sizes or numbers that the model does not support.
    """
    preprocessing, square = model.preprocessing, _square_of(model)
    if size is not None:
        check_pair(size)
    if batch is not None:
        check_whole(batch=batch)
    if square:
        if size is not None and tuple(size) != (square, square):
            raise UserError(f"size={tuple(size)}: this model takes squares of {square} pixels")
        size = (square, square)
    if batch is not None and batch < 1:
        raise UserError(f"batch={batch} must be at least 1")
    if size is None:
        multiple, least = any_size(model)
        sides, fixed = (least, least + multiple), False
    else:
        multiple = preprocessing.multiple
        sides, least, fixed = (size[0], size[1]), min(size), True
        if least < 1:
            raise UserError(f"size={sides}: sides must have at least 1 pixel")
        if any(side % multiple for side in sides):
            raise UserError(f"size={sides}: sides must be multiples of {multiple} pixels")
    return Plan(sides, fixed, multiple, least, batch, post_processing, grid_sample, image_format)


def _square_of(model: DETR) -> int:
    """The side of the only images that the model accepts; 0 for any."""
    preprocessing = model.preprocessing
    return preprocessing.side if isinstance(preprocessing, GreySquare) else preprocessing.square


def _card(
    detector: TrainedDetector,
    model: DETR,
    plan: Plan,
    precision: str,
    graph: DetectorGraph,
) -> Card:
    short_side, max_size, rule = resize_rule(detector.mapper)
    return Card(
        class_names=tuple(detector.class_names),
        short_side=short_side,
        max_size=max_size,
        size=plan.size if plan.fixed_size else None,
        batch=plan.batch,
        multiple=plan.multiple,
        least=plan.least,
        pixel_mean=tuple(model.preprocessing.mean.flatten().tolist()),
        pixel_std=tuple(model.preprocessing.std.flatten().tolist()),
        precision=precision,
        outputs=graph.outputs,
        version=__version__,
        rounding=rule.rounding,
        interpolation=rule.interpolation,
        **detector.image_format.options,
    )


def mostly_padding(card: Card) -> str:
    """A sentence if no image fills half of the fixed size, otherwise empty."""
    if card.size is None or card.short_side is None:
        return ""
    height, width = card.size
    short = card.short_side
    long = min(card.max_size or math.inf, max(height, width) * short / min(height, width))
    share = short * long / (height * width)
    if share >= 0.5:
        return ""
    fitting = [
        math.ceil(side * short / min(height, width) / card.multiple) * card.multiple
        for side in (height, width)
    ]
    return (
        f"size={height} {width}: images are resized to a short side of {short} pixels, as for the "
        f"checkpoint, and fill {share:.0%} of it; --size {fitting[0]} {fitting[1]} is as good and "
        "faster"
    )


def _target(
    checkpoint: str | Path | TrainedDetector, output: str | Path | None, form: Format
) -> Path:
    """Raises UserError for a file whose name would not be recognised."""
    if output is None:
        if isinstance(checkpoint, TrainedDetector):
            raise UserError("output: a detector in memory has no file to write beside")
        return Path(checkpoint).with_name(f"{Path(checkpoint).stem}{form.ending}")
    if form.ending.startswith(".") and Path(output).suffix != form.ending:
        raise UserError(f"output={output} must end in {form.ending}")
    return Path(output)


def _read(images: Source | Sequence[Source], card: Card) -> list[dict]:
    """Images as inputs of the graph, selected evenly from those given."""
    paths = find_images(images, image_format=card.image_format)
    paths = paths[:: -(-len(paths) // _CALIBRATED)]
    return [fed(card.image_format.read(path), card) for path in paths]


def _inputs(batch: Sequence[dict], card: Card) -> dict[str, np.ndarray]:
    return stacked(batch, card, card.batch or len(batch))


def _generated(card: Card) -> list[dict]:
    """Two noise images with different aspect ratios, and with other sizes than in the trace if any
    size is accepted.
    """
    if card.size is not None:
        side = min(card.size)
        shapes = ((side, side), (3 * side // 4, side))
    else:
        side = card.least + card.multiple
        shapes = ((side, side), (card.least - 3, side + card.multiple))
    generator, form = np.random.default_rng(0), card.image_format
    noise = (generator.integers(0, 256, (*shape, form.channels), np.uint8) for shape in shapes)
    return [fed(image.astype(form.dtype), card) for image in noise]


def _check(
    graph: DetectorGraph,
    card: Card,
    path: Path,
    pictures: Sequence[dict],
    tolerance: float | None,
) -> None:
    """Raises UserError if the results of file and model differ."""
    pictures = pictures[:_CHECKED] or _generated(card)
    session = open_session(path)
    allowed = TOLERANCES[card.precision] if tolerance is None else tolerance
    seen = 0.0 if card.precision in ("float32", "float16") else SEEN
    batches = [[item] for item in pictures]
    batches += [list(pictures[:2])] if card.batch is None else []
    compared = 0
    for batch in batches:
        found = compare(graph, session, _inputs(batch, card), len(batch), seen)
        fed = " and ".join("x".join(map(str, item["image"].shape[:2])) for item in batch)
        logger.info("Against PyTorch, fed with %s: %s", fed, found)
        longest = max(max(item["original"]) for item in batch)
        if why := _beyond(found, allowed, longest):
            raise UserError(
                f"the exported file and the model differ: {why} (all: {found}); nothing was written"
            )
        compared += found.pairs
    if not compared:
        logger.warning(
            "No object of these images has a score of %g or more, so that nothing of boxes and "
            "scores was compared: give images with objects (--images)",
            seen,
        )


def _beyond(found: Differences, allowed: float, longest: int) -> str:
    """What differs too much; empty if nothing does."""
    limits: Mapping[str, float] = {
        "scores": allowed,
        "missing": allowed,
        "boxes": allowed * longest / 5,
        "proposals": 10 * allowed,
        "masks": allowed,
    }
    too_far = {name: limit for name, limit in limits.items() if not getattr(found, name) <= limit}
    return ", ".join(f"{name} above {limit:.2g}" for name, limit in too_far.items())


@contextmanager
def _kept_if_good(target: Path) -> Iterator[Path]:
    """A temporary path that becomes `target` unless something is raised."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-")
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from None
    with folder as name:
        yield Path(name) / target.name
        for path in sorted(file for file in Path(name).rglob("*") if file.is_file()):
            place = target.parent / path.relative_to(name)
            place.parent.mkdir(exist_ok=True)
            os.replace(path, place)
