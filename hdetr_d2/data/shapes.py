"""The "shapes" data set: geometric shapes on noisy backgrounds, generated from a seed, in COCO's
format.

The class is the shape, never the colour. Objects overlap; boxes and masks cover the visible part.
With `channels`, pictures are TIFFs with 16 bits: half of the objects are painted in the first three
channels, the others only in two more, where the former do not hide them.

    python -m hdetr_d2.data.shapes --root datasets/shapes
"""

import argparse
import contextlib
import json
import logging
import math
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass

import numpy as np
import pycocotools.mask as mask_utils
from PIL import Image, ImageDraw

from hdetr_d2.errors import UserError
from hdetr_d2.pixels.stored_files import needed_tifffile

logger = logging.getLogger(__name__)

# Increased whenever the same arguments give different pictures.
VERSION = 1
SPECIFICATION = "specification.json"
SPLITS = ("train", "val")
# An object stays recognisable while this fraction of it is visible.
MIN_VISIBLE = 0.5
EMPTY_IMAGES = 0.05
MAX_TILT = math.radians(20)
# Alternative sets of channels in which an object is painted.
RGB_BANDS = (slice(0, 3),)
DEEP_BANDS = (slice(0, 3), slice(3, 5))


@dataclass(frozen=True)
class Specification:
    """Everything that the pictures depend on."""

    num_train: int
    num_val: int
    image_size: int
    num_classes: int
    max_objects: int
    seed: int
    version: int = VERSION
    channels: int | None = None

    def content(self) -> dict[str, int]:
        """As stored with the pictures; those of RGB do not mention channels."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def _regular(corners: int, inner: float = 1.0) -> np.ndarray:
    """Points [n, 2] of a polygon in the unit circle; `inner` < 1 gives a star with that inner
    radius.
    """
    count = corners if inner == 1 else 2 * corners
    angles = np.arange(count) * 2 * math.pi / count
    radii = np.where(np.arange(count) % 2, inner, 1.0) if inner < 1 else np.ones(count)
    return np.stack([radii * np.sin(angles), -radii * np.cos(angles)], axis=1)


def _cross(arm: float = 0.32) -> np.ndarray:
    quarter = np.array([(-arm, -1), (arm, -1), (arm, -arm)])
    turns = [np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([quarter @ turn for turn in turns])


# Name -> outline in the unit circle, and the radius of a round hole in it.
SHAPES: dict[str, tuple[np.ndarray, float]] = {
    "circle": (_regular(40), 0.0),
    "square": (np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / math.sqrt(2), 0.0),
    "triangle": (_regular(3), 0.0),
    "cross": (_cross(), 0.0),
    "ring": (_regular(40), 0.6),
    "star": (_regular(5, inner=0.42), 0.0),
}


def generate_shapes(
    *,
    root: str | os.PathLike,
    num_train: int = 1000,
    num_val: int = 200,
    image_size: int = 128,
    num_classes: int = 4,
    max_objects: int = 8,
    seed: int = 0,
    channels: int | None = None,
) -> None:
    """Generates the data set, unless `root` already contains the same one.

    `root` gets `train/`, `val/` (PNG or TIFF), `annotations/train.json` and `annotations/val.json`.
    It is created atomically, so that several processes may call this at once, and a killed one
    leaves nothing incomplete.

    Args:
        root: the folder.
        num_train, num_val: numbers of images.
        image_size: their side in pixels.
        num_classes: the first of circle, square, triangle, cross, ring and star.
        max_objects: per image; one image in twenty has none.
        seed: of everything.
        channels: number of channels, out of five, of pictures with 16 bits; None for RGB with 8
            bits.

    Raises:
        UserError: too many classes or channels, or a `root` that contains something else or cannot
            be written.
    """
    root = os.path.abspath(os.path.expanduser(root))
    if not 1 <= num_classes <= len(SHAPES):
        raise UserError(f"shapes has 1 to {len(SHAPES)} classes, not {num_classes}")
    if channels is not None and not 1 <= channels <= DEEP_BANDS[-1].stop:
        raise UserError(f"shapes has 1 to {DEEP_BANDS[-1].stop} channels, not {channels}")
    wanted = Specification(
        num_train, num_val, image_size, num_classes, max_objects, seed, channels=channels
    )
    if _is_there(root, wanted):
        return
    logger.info(f"Generating {num_train} + {num_val} images of shapes in {root}")
    try:
        os.makedirs(os.path.dirname(root), exist_ok=True)
        draft = tempfile.mkdtemp(prefix=f".{os.path.basename(root)}-", dir=os.path.dirname(root))
    except OSError as error:
        raise UserError(f"cannot write the shapes data set to {root}: {error.strerror}") from None
    try:
        for number, split in enumerate(SPLITS):
            _write_split(draft, split, number, wanted)
        with open(os.path.join(draft, SPECIFICATION), "w", encoding="utf-8") as file:
            json.dump(wanted.content(), file)
        os.chmod(draft, 0o755)  # mkdtemp creates private folders
        _put_in_place(draft, root, wanted)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _is_there(root: str, wanted: Specification) -> bool:
    """Whether `root` contains the wanted data set; foreign content must never be replaced."""
    try:
        with open(os.path.join(root, SPECIFICATION), encoding="utf-8") as file:
            return json.load(file) == wanted.content()
    except (FileNotFoundError, NotADirectoryError):
        if os.path.isfile(root) or (os.path.isdir(root) and os.listdir(root)):
            raise UserError(f"{root} exists and is not a shapes data set; choose another") from None
    return False


def _put_in_place(draft: str, root: str, wanted: Specification) -> None:
    if os.path.isdir(root) and not _is_there(root, wanted):
        old = tempfile.mkdtemp(prefix=f".{os.path.basename(root)}-", dir=os.path.dirname(root))
        # Another process may have moved it already.
        with contextlib.suppress(FileNotFoundError):
            os.rename(root, old)
        shutil.rmtree(old)
    try:
        os.rename(draft, root)
    except OSError:
        if not _is_there(root, wanted):  # otherwise another process was faster
            raise


def _write_split(draft: str, split: str, number: int, spec: Specification) -> None:
    os.makedirs(os.path.join(draft, split))
    os.makedirs(os.path.join(draft, "annotations"), exist_ok=True)
    names = list(SHAPES)[: spec.num_classes]
    images: list[dict] = []
    annotations: list[dict] = []
    for i in range(spec.num_train if split == "train" else spec.num_val):
        # One generator per image: requesting more images does not change the first ones.
        picture, objects = draw_image(spec, np.random.default_rng([spec.seed, number, i]))
        name = f"{i:06d}.{'png' if spec.channels is None else 'tif'}"
        _write(picture, os.path.join(draft, split, name))
        side = spec.image_size
        images.append({"id": i + 1, "file_name": name, "width": side, "height": side})
        for label, mask in objects:
            found = {"id": len(annotations) + 1, "image_id": i + 1, "category_id": label + 1}
            annotations.append({**found, **_describe(mask), "iscrowd": 0})
    content = {
        "info": {"description": "generated shapes", **spec.content()},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(names)],
    }
    with open(os.path.join(draft, "annotations", f"{split}.json"), "w", encoding="utf-8") as file:
        json.dump(content, file)


def _write(picture: np.ndarray, path: str) -> None:
    if path.endswith(".png"):
        Image.fromarray(picture).save(path, compress_level=1)
    else:
        layout = {"photometric": "minisblack", "planarconfig": "contig"}
        needed_tifffile(path).imwrite(path, picture, **layout)


def _describe(mask: np.ndarray) -> dict:
    """Box, area and RLE of a mask bool [H, W]."""
    rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "bbox": [float(v) for v in mask_utils.toBbox(rle)],
        "area": float(mask.sum()),
        "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")},
    }


def draw_image(
    spec: Specification, random: np.random.Generator
) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Draws one picture.

    Returns:
        uint8 [S, S, 3], or uint16 [S, S, channels]; and for each object its label and its visible
        part, bool [S, S].
    """
    bands = RGB_BANDS if spec.channels is None else DEEP_BANDS
    picture = np.concatenate([_background(spec.image_size, band, random) for band in bands], axis=2)
    count = 0 if random.random() < EMPTY_IMAGES else int(random.integers(1, spec.max_objects + 1))
    objects: list[tuple[int, np.ndarray]] = []
    full_areas: list[int] = []
    painted: list[slice] = []
    for _ in range(count):
        label = int(random.integers(spec.num_classes))
        mask = _draw_shape(list(SHAPES.values())[label], spec.image_size, random)
        band = bands[int(random.integers(len(bands))) if len(bands) > 1 else 0]
        left = [
            seen & ~mask if own == band else seen
            for (_, seen), own in zip(objects, painted, strict=True)
        ]
        hides = any(
            part.sum() < MIN_VISIBLE * area for part, area in zip(left, full_areas, strict=True)
        )
        # A shape that would hide another one is skipped: the number of objects is random anyway.
        if hides or not mask.any():
            continue
        objects = [(other, part) for (other, _), part in zip(objects, left, strict=True)]
        objects.append((label, mask))
        full_areas.append(int(mask.sum()))
        painted.append(band)
        _paint(picture[..., band], mask, random)
    if spec.channels is None:
        return picture.clip(0, 255).astype(np.uint8), objects
    return (picture[..., : spec.channels].clip(0, 255) * 257).astype(np.uint16), objects


def _background(side: int, band: slice, random: np.random.Generator) -> np.ndarray:
    """A blurred random pattern with grain, float [S, S, C], for at most three channels."""
    coarse = random.uniform(50, 205, 3) + random.uniform(-30, 30, (5, 5, 3))
    small = Image.fromarray(coarse.clip(0, 255).astype(np.uint8))
    smooth = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    grainy = smooth + random.normal(0, 8, (side, side, 1)).astype(np.float32)
    return grainy[..., : band.stop - band.start]


def _draw_shape(
    shape: tuple[np.ndarray, float], side: int, random: np.random.Generator
) -> np.ndarray:
    """The shape at a random position, size and angle, completely within the picture, bool [S,
    S].
    """
    outline, hole = shape
    # Most objects span a quarter to half of the picture; one in six is small.
    low, high = (0.045, 0.075) if random.random() < 1 / 6 else (0.08, 0.22)
    radius = max(3.0, side * random.uniform(low, high))
    angle = random.uniform(-MAX_TILT, MAX_TILT)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    centre = random.uniform(min(radius, side / 2), max(side - radius, side / 2), 2)
    canvas = Image.new("1", (side, side))
    draw = ImageDraw.Draw(canvas)
    draw.polygon([tuple(point) for point in outline @ turn * radius + centre], fill=1)
    if hole:
        box = [*(centre - hole * radius), *(centre + hole * radius)]
        draw.ellipse(box, fill=0)
    return np.array(canvas)


def _paint(picture: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> None:
    """Fills `mask` of `picture` float [S, S, C] with a colour that contrasts with what is there."""
    there = picture[mask].mean(0)
    colours = random.uniform(0, 255, (6, picture.shape[2]))
    colour = colours[np.abs(colours - there).sum(1).argmax()]
    picture[mask] = colour + random.normal(0, 8, (int(mask.sum()), 1))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write the generated shapes data set.")
    parser.add_argument("--root", default="datasets/shapes", help="folder (datasets/shapes)")
    for option, value in (
        ("num-train", 1000),
        ("num-val", 200),
        ("image-size", 128),
        ("num-classes", 4),
        ("max-objects", 8),
        ("seed", 0),
    ):
        parser.add_argument(f"--{option}", type=int, default=value, help=f"({value})")
    parser.add_argument("--channels", type=int, help="of 16 bits, 1 to 5 (8-bit RGB)")
    options = parser.parse_args(arguments)
    try:
        generate_shapes(**vars(options))
    except UserError as error:
        parser.exit(2, f"{error}\n")
    print(f"The shapes data set is in {options.root}")


if __name__ == "__main__":
    main()
