from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from hdetr_d2.visualization import Shapes, class_color, draw_shapes

NONE = Shapes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))


def grey(width: int = 100, height: int = 80) -> Image.Image:
    return Image.new("RGB", (width, height), (128, 128, 128))


def test_the_frame_stands_on_the_box_in_the_colour_of_its_class() -> None:
    shapes = Shapes(torch.tensor([[20.0, 30, 60, 70]]), torch.tensor([2]))
    picture = draw_shapes(grey(), shapes, ["a", "b", "c"])
    assert picture.size == (100, 80)
    assert picture.getpixel((20, 50)) == class_color(2)
    assert picture.getpixel((60, 50)) == class_color(2)
    assert picture.getpixel((40, 50)) == (128, 128, 128)


def test_zoom_moves_the_box_with_the_picture() -> None:
    shapes = Shapes(torch.tensor([[20.0, 30, 60, 70]]), torch.tensor([0]))
    picture = draw_shapes(grey(), shapes, ["a"], zoom=3)
    assert picture.size == (300, 240)
    assert picture.getpixel((60, 150)) == class_color(0)


def test_a_mask_tints_its_pixels_only() -> None:
    mask = torch.zeros(1, 80, 100, dtype=torch.bool)
    mask[0, 40:60, 30:50] = True
    shapes = Shapes(torch.tensor([[20.0, 30, 60, 70]]), torch.tensor([0]), masks=mask)
    picture = draw_shapes(grey(), shapes, ["a"])
    assert picture.getpixel((40, 50)) != (128, 128, 128)
    assert picture.getpixel((55, 65)) == (128, 128, 128)


def test_no_objects_leave_the_picture_as_it_is() -> None:
    assert draw_shapes(grey(), NONE, []).tobytes() == grey().tobytes()


def test_every_pil_mode_and_odd_box_can_be_drawn() -> None:
    odd = torch.tensor([[-5.0, -5, 3, 3], [90, 70, 140, 120], [50, 50, 40, 40], [7, 7, 7, 7]])
    shapes = Shapes(odd, torch.tensor([0, 1, 2, 9]), torch.tensor([0.1, 0.2, 0.3, 1.0]))
    for mode in ("RGB", "L", "P", "RGBA", "1", "CMYK"):
        assert draw_shapes(Image.new(mode, (100, 80)), shapes, ["name"]).mode == "RGB"


def test_the_smallest_picture_can_be_drawn() -> None:
    shapes = Shapes(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([0]))
    assert draw_shapes(grey(1, 1), shapes, ["a long name"]).size == (1, 1)


def test_above_keeps_scores_of_at_least_the_threshold() -> None:
    scores = torch.tensor([0.2, 0.5, 0.9])
    masks = torch.zeros(3, 2, 2, dtype=torch.bool)
    kept = Shapes(torch.rand(3, 4), torch.tensor([0, 1, 2]), scores, masks).above(0.5)
    assert kept.classes.tolist() == [1, 2]
    assert kept.masks is not None
    assert len(kept.masks) == 2
    assert len(NONE.above(0.5)) == 0


def test_class_colours_differ() -> None:
    assert len({class_color(index) for index in range(80)}) == 80


def test_a_track_has_a_colour_and_its_number() -> None:
    boxes = torch.tensor([[10.0, 40.0, 40.0, 60.0], [150.0, 40.0, 190.0, 60.0]])
    one_class = Shapes(boxes, torch.tensor([0, 0]), torch.tensor([0.9, 0.9]))
    tracked = replace(one_class, tracks=np.array([3, -1]))
    picture, plain = (draw_shapes(grey(200), shapes, ["a"]) for shapes in (tracked, one_class))
    assert picture.getpixel((20, 60)) == class_color(3)
    assert picture.getpixel((170, 60)) == class_color(0)
    right, left = (120, 0, 200, 80), (0, 0, 120, 80)
    assert picture.crop(right).tobytes() == plain.crop(right).tobytes()
    other = replace(one_class, tracks=np.array([4, -1]))
    assert draw_shapes(grey(200), other, ["a"]).crop(left).tobytes() != picture.crop(left).tobytes()
