"""A sheet of validation images: what is there beside what was found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from hdetr_d2.visualization.lettering import letter
from hdetr_d2.visualization.shapes import Shapes, class_color, draw_shapes

MARGIN = 10
CAPTION = 20
HEADER = 34


@dataclass(frozen=True)
class Example:
    """One image with its true and its predicted objects, in the pixels of the image."""

    title: str
    image: Image.Image
    true: Shapes
    predicted: Shapes


def contact_sheet(
    examples: Sequence[Example], class_names: Sequence[str], *, columns: int = 3, cell: int = 260
) -> Image.Image:
    """A grid of pairs, the true objects on the left and the predicted ones on the right.

    Args:
        examples: at least one.
        class_names: names by class index.
        columns: pairs side by side.
        cell: width and height in pixels that one picture may take.

    Raises:
        ValueError: no examples.
    """
    if not examples:
        raise ValueError("a contact sheet needs at least one image")
    columns = min(columns, len(examples))
    pairs = [_pair(example, class_names, cell) for example in examples]
    rows = [pairs[start : start + columns] for start in range(0, len(pairs), columns)]
    heights = [max(pair.height for pair in row) for row in rows]
    width = columns * pairs[0].width + (columns + 1) * MARGIN
    sheet = Image.new("RGB", (width, HEADER + sum(heights) + MARGIN * len(rows)), "white")
    _legend(sheet, class_names)
    top = HEADER
    for row, height in zip(rows, heights, strict=True):
        for column, pair in enumerate(row):
            sheet.paste(pair, (MARGIN + column * (pair.width + MARGIN), top))
        top += height + MARGIN
    return sheet


def _pair(example: Example, class_names: Sequence[str], cell: int) -> Image.Image:
    zoom = cell / max(example.image.size)
    true = draw_shapes(example.image, example.true, class_names, zoom=zoom)
    predicted = draw_shapes(example.image, example.predicted, class_names, zoom=zoom)
    pair = Image.new("RGB", (2 * cell + 4, CAPTION + true.height), "white")
    pen = ImageDraw.Draw(pair)
    for x, title in (
        (2, f"{example.title}: {len(example.true)} true"),
        (cell + 6, f"{len(example.predicted)} predicted"),
    ):
        drawn = letter(title, 12)
        pen.text((x, 3), drawn.letters, fill="black", font=drawn.font)
    indent = (cell - true.width) // 2
    pair.paste(true, (indent, CAPTION))
    pair.paste(predicted, (cell + 4 + indent, CAPTION))
    return pair


def _legend(sheet: Image.Image, class_names: Sequence[str]) -> None:
    """Class names in their colours, as many as the width holds."""
    pen = ImageDraw.Draw(sheet)
    x = float(MARGIN)
    for index, name in enumerate(class_names):
        drawn = letter(name, 14)
        if x + 22 + drawn.width > sheet.width - MARGIN:
            break
        pen.rectangle((x, 11, x + 14, 25), fill=class_color(index))
        pen.text((x + 19, 9), drawn.letters, fill="black", font=drawn.font)
        x = math.ceil(x + 22 + drawn.width + 16)
