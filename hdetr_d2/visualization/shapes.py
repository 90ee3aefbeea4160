"""Boxes and masks drawn on an image, with class names and scores."""

import colorsys
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from hdetr_d2.runtime.shapes import Shapes
from hdetr_d2.visualization.lettering import letter

Color = tuple[int, int, int]


def class_color(index: int) -> Color:
    """A fixed colour for each class; neighbours are far apart on the colour wheel."""
    golden = 0.61803398875
    red, green, blue = colorsys.hsv_to_rgb((0.02 + index * golden) % 1.0, 0.85, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_shapes(
    image: Image.Image, shapes: Shapes, class_names: Sequence[str], *, zoom: float = 1.0
) -> Image.Image:
    """A copy of the image with its objects: masks below, then boxes, then names with scores.

    Args:
        image: any PIL mode.
        shapes: objects in the pixels of `image`.
        class_names: names by class index; a class beyond the list is labelled with its number.
        zoom: enlarges the picture, while lines and letters stay sharp.
    """
    size = max(1, round(image.width * zoom)), max(1, round(image.height * zoom))
    picture = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    _fill_masks(picture, shapes)
    pen = ImageDraw.Draw(picture)
    width = max(2, round(min(size) / 250))
    letters = max(11, round(min(size) / 36))
    # Largest first, so that a small object inside a large one keeps its frame and label visible.
    boxes = np.asarray(shapes.boxes, np.float32) * zoom
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for i in np.argsort(-areas, kind="stable").tolist():
        color = _color(shapes, i)
        corners = boxes[i].tolist()
        _frame(pen, corners, color, width)
        _tag(pen, corners, _caption(shapes, i, class_names), color, letters, size)
    return picture


def _fill_masks(picture: Image.Image, shapes: Shapes) -> None:
    if shapes.masks is None:
        return
    for i, mask in enumerate(shapes.masks):
        stencil = Image.fromarray(np.asarray(mask).astype("uint8") * 110).resize(picture.size)
        if (box := stencil.getbbox()) is not None:  # usually a small part of a large picture
            picture.paste(_color(shapes, i), box, stencil.crop(box))


def _color(shapes: Shapes, i: int) -> Color:
    """That of its track, otherwise that of its class."""
    track = _track(shapes, i)
    return class_color(int(shapes.classes[i]) if track is None else track)


def _track(shapes: Shapes, i: int) -> int | None:
    return None if shapes.tracks is None or shapes.tracks[i] < 0 else int(shapes.tracks[i])


def _caption(shapes: Shapes, i: int, class_names: Sequence[str]) -> str:
    label, track = int(shapes.classes[i]), _track(shapes, i)
    name = class_names[label] if label < len(class_names) else str(label)
    name = name if track is None else f"{name} #{track + 1}"
    return name if shapes.scores is None else f"{name} {float(shapes.scores[i]):.2f}"


def _frame(pen: ImageDraw.ImageDraw, corners: list[float], color: Color, width: int) -> None:
    left, top, right, bottom = corners
    if right >= left and bottom >= top:
        pen.rectangle(corners, outline=color, width=width)


def _tag(
    pen: ImageDraw.ImageDraw,
    corners: list[float],
    caption: str,
    color: Color,
    letters: int,
    size: tuple[int, int],
) -> None:
    """The label on a coloured background: above the box, or inside it at the top of the picture."""
    drawn = letter(caption, letters)
    width, height = math.ceil(drawn.width) + 4, drawn.height + 1
    x = min(max(0.0, corners[0]), max(0, size[0] - width))
    y = corners[1] - height if corners[1] >= height else max(0.0, corners[1])
    y = min(y, max(0, size[1] - height))
    pen.rectangle((x, y, x + width, y + height), fill=color)
    dark = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140
    ink = "black" if dark else "white"
    pen.text((x + 2, y), drawn.letters, fill=ink, font=drawn.font)
