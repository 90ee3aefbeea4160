"""The meaning of the columns of a table of boxes, by their names or, if the first row is a box, by
their order, as in the csv of RetinaNet's readers.
"""

from collections.abc import Mapping, Sequence

from hdetr_d2.errors import UserError

EDGES = ("xmin", "ymin", "xmax", "ymax")
# Names of columns, ignoring case and punctuation. The first match counts: a class name is preferred
# to a class number.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "image": (
        "filename", "file", "imagename", "imagepath", "image", "filepath", "path", "img", "imageid",
    ),
    "class": (
        "classname", "categoryname", "labelname", "label", "class", "category", "name", "classid",
        "categoryid",
    ),
    "xmin": ("xmin", "x1", "left", "minx", "xtl"),
    "ymin": ("ymin", "y1", "top", "miny", "ytl"),
    "xmax": ("xmax", "x2", "right", "maxx", "xbr"),
    "ymax": ("ymax", "y2", "bottom", "maxy", "ybr"),
    "width": ("width", "imagewidth", "imgwidth"),
    "height": ("height", "imageheight", "imgheight"),
    "split": ("split", "subset", "set"),
    "ignored": ("iscrowd", "isgroupof", "difficult"),
    "confidence": ("confidence", "conf"),
}  # fmt: skip
_SCORE = "score"
_NEEDED = ("image", "class", *EDGES)
_WITHOUT_NAMES = ("image", *EDGES, "class")


def columns_of(first: Sequence[str]) -> dict[str, int]:
    """Maps meanings, keys of `_NAMES`, to column indices.

    Args:
        first: the first row of the table.

    Raises:
        UserError: it is not a table of annotated boxes; the caller adds its name.
    """
    if is_box(first):
        return {what: place for place, what in enumerate(_WITHOUT_NAMES)}
    called = ["".join(filter(str.isalnum, name.lower())) for name in first]
    found = {}
    for what, names in _NAMES.items():
        if known := [name for name in names if name in called]:
            found[what] = called.index(known[0])
    if lacking := [what for what in _NEEDED if what not in found]:
        columns = f"column{'s' if lacking[1:] else ''} for {', '.join(lacking)}"
        raise UserError(f"is a table without {columns}")
    if _SCORE in called:
        raise UserError("is a table of predictions, as its boxes have scores")
    return found


def is_box(row: Sequence[str]) -> bool:
    """Whether a row is an image, four numbers and a class, or only an image."""
    if len(row) != len(_WITHOUT_NAMES) or not row[0]:
        return False
    return not any(row[1:]) or all(map(_is_number, row[1:-1]))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
