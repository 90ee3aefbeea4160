"""A contact sheet of validation images: ground truth beside detections."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from hdetr_d2.visualization.lettering import letter
from hdetr_d2.visualization.shapes import Shapes, class_color, draw_shapes

MARGIN = 10
CAPTION = 20
GAP = 4
LINE = 24  # of the legend
# Images at least this many times wider than high get a row of their own.
WIDE = 3
# A longer name would hide its object: the class number is drawn instead, and explained in the
# legend.
LONGEST_TAG = 12


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
    """A grid of pairs, with true objects on the left and predicted ones on the right; for wide
    images one above the other. A legend on top lists the classes that occur.

    Args:
        examples: at least one.
        class_names: names by class index.
        columns: pairs side by side.
        cell: maximum width and height of one picture in pixels.

    Raises:
        ValueError: no examples.
    """
    if not examples:
        raise ValueError("a contact sheet needs at least one image")
    columns = min(columns, len(examples))
    width = columns * (2 * cell + GAP) + (columns - 1) * MARGIN
    tags = _tags(class_names)
    pictures = [
        _stacked(example, tags, width) if _is_wide(example) else _pair(example, tags, cell)
        for example in examples
    ]
    legend = _legend(examples, class_names, tags, width)
    rows = [[legend], *_rows(pictures, columns, width)]
    heights = [max(picture.height for picture in row) for row in rows]
    sheet = Image.new("RGB", (width + 2 * MARGIN, sum(heights) + MARGIN * len(rows)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            sheet.paste(picture, (MARGIN + column * (picture.width + MARGIN), top))
        top += height + MARGIN
    return sheet


def _is_wide(example: Example) -> bool:
    return example.image.width > WIDE * example.image.height


def _rows(pictures: Sequence[Image.Image], columns: int, width: int) -> Iterator[list[Image.Image]]:
    """Distributes them to rows in order; one that takes the whole width is alone."""
    row: list[Image.Image] = []
    for picture in pictures:
        if row and (len(row) == columns or width in (picture.width, row[0].width)):
            yield row
            row = []
        row.append(picture)
    yield row


def _tags(class_names: Sequence[str]) -> Sequence[str]:
    """The label of an object: its class name, or its number if names are long."""
    if max(map(len, class_names), default=0) <= LONGEST_TAG:
        return class_names
    return [str(index) for index in range(len(class_names))]


def _pair(example: Example, tags: Sequence[str], cell: int) -> Image.Image:
    zoom = cell / max(example.image.size)
    true, predicted = _pictures(example, tags, zoom)
    pair = Image.new("RGB", (2 * cell + GAP, CAPTION + true.height), "white")
    indent = (cell - true.width) // 2
    for x, title, picture in zip((0, cell + GAP), _titles(example), (true, predicted), strict=True):
        _write(pair, (x + 2, 3), title, cell - 4)
        pair.paste(picture, (x + indent, CAPTION))
    return pair


def _stacked(example: Example, tags: Sequence[str], width: int) -> Image.Image:
    true, predicted = _pictures(example, tags, width / example.image.width)
    height = CAPTION + true.height
    stack = Image.new("RGB", (width, 2 * height + GAP), "white")
    for y, title, picture in zip(
        (0, height + GAP), _titles(example), (true, predicted), strict=True
    ):
        _write(stack, (2, y + 3), title, width - 4)
        stack.paste(picture, (0, y + CAPTION))
    return stack


def _pictures(example: Example, tags: Sequence[str], zoom: float) -> list[Image.Image]:
    both = (example.true, example.predicted)
    return [draw_shapes(example.image, shapes, tags, zoom=zoom) for shapes in both]


def _titles(example: Example) -> tuple[str, str]:
    return f"{len(example.true)} true: {example.title}", f"{len(example.predicted)} predicted"


def _legend(
    examples: Sequence[Example], class_names: Sequence[str], tags: Sequence[str], width: int
) -> Image.Image:
    """The classes that occur, in their colours, on as many lines as needed."""
    shapes = [each for example in examples for each in (example.true, example.predicted)]
    used = sorted({label for each in shapes for label in each.classes.tolist()})
    places, x, y = [], 0, 0
    for index in (index for index in used if index < len(class_names)):
        name = class_names[index]
        drawn = letter(name if tags[index] == name else f"{tags[index]}  {name}", 14)
        taken = 19 + round(drawn.width)
        if x and x + taken > width:
            x, y = 0, y + LINE
        places.append((x, y, index, drawn))
        x += taken + 19
    legend = Image.new("RGB", (width, y + LINE + 3), "white")
    pen = ImageDraw.Draw(legend)
    for x, y, index, drawn in places:
        pen.rectangle((x, y + 11, x + 14, y + 25), fill=class_color(index))
        pen.text((x + 19, y + 9), drawn.letters, fill="black", font=drawn.font)
    return legend


def _write(picture: Image.Image, place: tuple[int, int], text: str, width: int) -> None:
    """Small letters, truncated to the width."""
    drawn = letter(text, 12)
    while drawn.width > width and len(text) > 1:
        text = text[:-2].rstrip() + "…"
        drawn = letter(text, 12)
    ImageDraw.Draw(picture).text(place, drawn.letters, fill="black", font=drawn.font)
