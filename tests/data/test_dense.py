"""Mosaics and blends on hand-made rectangles: where each object comes to lie."""

from itertools import pairwise

import pytest
import torch
from torchvision import tv_tensors

from hdetr_d2.data import CopyBlend, During, MixUp, Mosaic
from hdetr_d2.data.sample import Sample, visible
from hdetr_d2.utils.random_state import seeded

ALWAYS = During(p=1.0, end=1.0, max_iter=1, total_batch_size=1)


def rectangles(
    size: tuple[int, int], colour: int, *boxes: tuple[int, int, int, int], with_masks: bool = True
) -> Sample:
    """An image of one colour, which is the label of its objects, too."""
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    sample: Sample = {
        "image": tv_tensors.Image(torch.full((3, *size), colour, dtype=torch.uint8)),
        "boxes": tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=size),
        "labels": torch.full((len(boxes),), colour),
    }
    return {**sample, "masks": tv_tensors.Mask(masks)} if with_masks else sample


def boxes_of_masks(sample: Sample) -> list[list[int]]:
    """By a loop over the pixels."""
    found = []
    for mask in sample["masks"]:
        rows, columns = mask.nonzero(as_tuple=True)
        ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        found.append([int(end) for end in ends])
    return found


def still(**options: object) -> Mosaic:
    """One that does not move what it has laid out."""
    plain = {"rotation": 0.0, "translation": [0.0, 0.0], "scale": [1.0, 1.0]}
    return Mosaic(when=ALWAYS, **{"side": 10, "fill": 9, **plain, **options})


def test_a_mosaic_lays_four_images_out_in_the_corners_of_equal_cells() -> None:
    four = [
        rectangles((10, 20), 1, (2, 3, 12, 8)),
        rectangles((20, 10), 2, (0, 0, 10, 20)),
        rectangles((10, 10), 3),
        rectangles((20, 40), 4, (4, 8, 8, 20), (0, 0, 40, 2)),  # becomes 10 x 20
    ]
    mosaic = still()(four)
    assert mosaic["image"].shape == (3, 40, 40)  # cells of 20 x 20
    assert mosaic["boxes"].canvas_size == (40, 40)
    assert mosaic["labels"].tolist() == [1, 2, 4, 4]
    expected = [[2, 3, 12, 8], [20, 0, 30, 20], [22, 24, 24, 30], [20, 20, 40, 21]]
    assert mosaic["boxes"].tolist() == expected
    assert boxes_of_masks(mosaic) == expected
    pixels = mosaic["image"][0]
    assert [int(pixels[y, x]) for y, x in ((0, 0), (0, 20), (20, 0), (20, 20))] == [1, 2, 3, 4]
    assert [int(pixels[y, x]) for y, x in ((10, 0), (0, 30), (30, 0), (20, 10))] == [9] * 4
    assert int((pixels == 9).sum()) == 40 * 40 - 2 * 200 - 100 - 200
    assert four[0]["image"].shape == (3, 10, 20) and four[0]["boxes"].tolist() == [[2, 3, 12, 8]]


def test_a_mosaic_that_is_enlarged_cuts_and_loses_what_leaves_the_picture() -> None:
    four = [
        rectangles((10, 10), 1, (0, 0, 4, 4), (4, 4, 8, 8)),
        *(rectangles((10, 10), c) for c in (2, 3)),
        rectangles((10, 10), 4, (2, 2, 9, 3)),
    ]
    mosaic, lost = visible(still(scale=[2.0, 2.0])(four))
    # (x, y) comes to (2 x - 10, 2 y - 10) of 20 x 20 pixels.
    assert mosaic["labels"].tolist() == [1, 4]
    assert mosaic["boxes"].tolist() == [[0, 0, 6, 6], [14, 14, 20, 16]]
    assert boxes_of_masks(mosaic) == mosaic["boxes"].tolist()
    assert lost == 0  # the first is cut away, not too small


def test_objects_that_become_smaller_than_a_pixel_go() -> None:
    four = [rectangles((10, 10), 1, (5, 5, 6, 6), (0, 0, 4, 4))]
    four += [rectangles((10, 10), colour) for colour in (2, 3, 4)]
    mosaic, lost = visible(still(scale=[0.5, 0.5])(four))
    assert (mosaic["boxes"].tolist(), lost) == ([[5, 5, 7, 7]], 1)


def test_objects_stay_on_their_pixels_when_a_mosaic_is_turned() -> None:
    four = [rectangles((40, 40), c, (10, 5, 30, 25), with_masks=True) for c in (1, 2, 3, 4)]
    with seeded(3):
        mosaic = Mosaic(when=ALWAYS, side=40, rotation=30.0, scale=[0.9, 0.9])(four)
    drawn = torch.tensor(boxes_of_masks(mosaic))
    assert len(drawn) == 4
    # The box around the turned box holds the mask, and touches it within its rounding.
    boxes = mosaic["boxes"].as_subclass(torch.Tensor)
    assert (boxes - drawn).abs().max() < 1.5
    assert not torch.equal(boxes.round(), boxes)


def test_a_mosaic_of_empty_images_has_no_object() -> None:
    mosaic = still()([rectangles((10, 10), c, with_masks=False) for c in (1, 2, 3, 4)])
    assert mosaic["boxes"].shape == (0, 4) and "masks" not in mosaic


def test_mixup_shows_both_images_and_cuts_the_second() -> None:
    one = rectangles((10, 12), 100, (1, 1, 5, 5))
    other = rectangles((8, 20), 200, (2, 2, 6, 6), (10, 0, 18, 4), (13, 0, 20, 8))
    both = MixUp(when=ALWAYS, share=[0.25, 0.25])(one, other)
    assert both["image"].shape == (3, 10, 12)
    assert (both["image"][:, :8] == 175).all() and (both["image"][:, 8:] == 100).all()
    assert both["labels"].tolist() == [100, 200, 200]
    assert both["boxes"].tolist() == [[1, 1, 5, 5], [2, 2, 6, 6], [10, 0, 12, 4]]
    assert boxes_of_masks(both) == both["boxes"].tolist()
    assert (one["image"] == 100).all() and other["boxes"].shape == (3, 4)


def test_mixup_draws_how_much_of_each_is_seen() -> None:
    one, other = rectangles((4, 4), 0, with_masks=False), rectangles((4, 4), 200, with_masks=False)
    with seeded(0):
        shades = [int(MixUp(when=ALWAYS)(one, other)["image"][0, 0, 0]) for _ in range(50)]
    assert min(shades) >= 90 and max(shades) <= 110 and len(set(shades)) > 5


def copied(seed: int, **options: object) -> tuple[Sample, Sample, Sample]:
    under = rectangles((20, 30), 100, (0, 0, 20, 20))
    other = rectangles((40, 40), 200, (30, 30, 40, 36), (0, 0, 3, 3))
    with seeded(seed):
        blend = CopyBlend(when=ALWAYS, **{"share": [0.25, 0.25], "min_area": 20, **options})
        return under, other, blend(under, other)


@pytest.mark.parametrize("seed", range(8))
def test_a_copied_object_lies_where_its_box_and_mask_say(seed: int) -> None:
    _, _, blended = copied(seed, margin=[0.0, 0.0], objects=5)
    # Of both images, but nothing of less than 20 pixels.
    assert sorted(blended["labels"].tolist()) == [100, 100, 200]
    assert boxes_of_masks(blended) == blended["boxes"].tolist()
    boxes = dict(zip(blended["labels"].tolist(), blended["boxes"].tolist(), strict=True))
    left, top, right, bottom = (int(edge) for edge in boxes[200])
    assert (right - left, bottom - top) == (10, 6)
    # Where the copy of the image's own object came later, a quarter of that.
    assert set(blended["image"][:, top:bottom, left:right].unique().tolist()) <= {175, 119}
    assert int((blended["image"][0] != 100).sum()) == 60


def test_copies_go_everywhere_and_never_over_the_edge() -> None:
    places = [copied(seed)[2]["boxes"][1:].tolist() for seed in range(60)]
    corners = [box for boxes in places for box in boxes if box[2] - box[0] == 10]
    assert {min(x[0] for x in corners), max(x[2] for x in corners)} == {0, 30}
    assert {min(x[1] for x in corners), max(x[3] for x in corners)} == {0, 20}


def test_the_margin_ends_where_one_of_the_pictures_does() -> None:
    one = rectangles((40, 40), 100, with_masks=False)
    other = rectangles((40, 40), 200, (10, 20, 30, 40), with_masks=False)
    for seed in range(5):
        with seeded(seed):
            blend = CopyBlend(when=ALWAYS, share=[0.25, 0.25], margin=[0.25, 0.25])
            blended = blend(one, other)
        ((left, top, right, bottom),) = blended["boxes"].int().tolist()
        assert (right - left, bottom - top) == (20, 20)
        rows, columns = (blended["image"][0] == 175).nonzero(as_tuple=True)
        # 5 pixels more, none of them below, where the source ends.
        assert (int(rows.min()), int(rows.max()) + 1) == (max(0, top - 5), bottom)
        spans = sorted({int(column) for column in columns})
        before, behind = min(5, left), min(5, 40 - right)
        assert spans == [*range(left - before, right + behind)]


def test_what_is_larger_than_the_picture_is_cut_to_it() -> None:
    small = rectangles((8, 8), 100)
    with seeded(0):
        blended = CopyBlend(when=ALWAYS)(small, rectangles((20, 20), 200, (2, 2, 20, 8)))
    (box,) = blended["boxes"].tolist()
    assert box[::2] == [0, 8] and box[3] - box[1] == 6
    assert boxes_of_masks(blended) == [box]


def test_nothing_to_copy_leaves_all_as_it_is() -> None:
    empty = rectangles((6, 6), 1)
    blended = CopyBlend(when=ALWAYS)(empty, rectangles((6, 6), 2, (0, 0, 2, 2)))
    assert blended["boxes"].shape == (0, 4) and (blended["image"] == 1).all()


def test_different_draws_differ() -> None:
    found = [copied(seed)[2]["boxes"].tolist() for seed in range(4)]
    assert all(one != two for one, two in pairwise(found))
