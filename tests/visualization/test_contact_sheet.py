import pytest
import torch
from PIL import Image

from hdetr_d2.visualization import Example, Shapes, class_color, contact_sheet


def example(width: int, height: int) -> Example:
    true = Shapes(torch.tensor([[2.0, 2, width - 2, height - 2]]), torch.tensor([0]))
    found = Shapes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    return Example("picture.png", Image.new("RGB", (width, height)), true, found)


def test_true_objects_stand_left_and_predicted_right() -> None:
    sheet = contact_sheet([example(50, 50)], ["a"], cell=100)
    middle = sheet.width // 2
    left = sheet.crop((0, 34, middle, sheet.height))
    right = sheet.crop((middle, 34, sheet.width, sheet.height))
    assert class_color(0) in {color for _, color in left.getcolors(100_000)}
    assert class_color(0) not in {color for _, color in right.getcolors(100_000)}


def test_rows_are_as_high_as_their_highest_picture() -> None:
    wide = contact_sheet([example(80, 40)] * 2, ["a"], columns=2, cell=100)
    mixed = contact_sheet([example(80, 40), example(40, 80)], ["a"], columns=2, cell=100)
    assert wide.width == mixed.width
    assert mixed.height - wide.height == 50


def test_fewer_examples_than_columns_and_many_class_names() -> None:
    sheet = contact_sheet([example(30, 30)], [f"class {i}" for i in range(500)], columns=4, cell=60)
    assert sheet.width == 2 * 60 + 4 + 2 * 10


def colors(picture: Image.Image) -> set[tuple[int, int, int]]:
    return {color for _, color in picture.getcolors(1_000_000)}


def of_classes(width: int, height: int, *classes: int) -> Example:
    boxes = torch.tensor([[2.0, 2, width - 2, height - 2]] * len(classes))
    true = Shapes(boxes, torch.tensor(classes))
    return Example("a" * 100, Image.new("RGB", (width, height)), true, true)


def test_the_legend_has_every_class_that_occurs_and_no_other() -> None:
    names = [f"a rather long name of the class {i}" for i in range(22)]
    sheet = contact_sheet([of_classes(50, 50, *range(1, 22))], names, cell=150)
    # Left of the names, above the pictures; a line has room for one of them.
    column = colors(sheet.crop((10, 0, 25, 21 * 24)))
    assert {class_color(i) for i in range(1, 22)} <= column
    assert class_color(0) not in column


def test_long_names_stand_in_the_legend_and_numbers_in_the_pictures() -> None:
    long = contact_sheet([of_classes(100, 100, 0)], ["a name that would hide everything"], cell=200)
    short = contact_sheet([of_classes(100, 100, 0)], ["thing"], cell=200)
    tagged = [
        sum(n for n, c in s.crop((10, 57, 210, 257)).getcolors(1_000_000) if c == class_color(0))
        for s in (long, short)
    ]
    assert tagged[0] < tagged[1]  # the ground of "0" is smaller than that of "thing"


def test_a_wide_image_takes_the_whole_width_and_both_are_there() -> None:
    square, wide = of_classes(60, 60, 0), of_classes(1000, 50, 1)
    names = ["a", "b"]
    sheet = contact_sheet([square, wide, wide, square], names, columns=2, cell=100)
    assert sheet.width == 2 * 204 + 10 + 2 * 10
    # Legend, pair, twice two pictures of 418 x 21 with captions, pair: six rows with wide ones.
    stacked = 2 * (20 + 21) + 4
    assert sheet.height == 27 + 2 * 120 + 2 * stacked + 5 * 10
    upper = sheet.crop((10, 37 + 130, 428, 37 + 130 + stacked))
    lower = sheet.crop((10, 37 + 140 + stacked, 428, 37 + 140 + 2 * stacked))
    assert upper.tobytes() == lower.tobytes()
    assert class_color(1) in colors(upper)


def test_no_examples_is_said() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([], ["a"])
