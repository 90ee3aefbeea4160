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


def test_no_examples_is_said() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([], ["a"])
