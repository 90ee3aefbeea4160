"""Copy-paste on hand-made rectangles."""

import torch
from torchvision import tv_tensors

from hdetr_d2.data.copy_paste import CopyPaste
from hdetr_d2.data.sample import Sample

ALWAYS = CopyPaste(p=1.0, p_object=1.0)


def rectangles(size: tuple[int, int], colour: int, *boxes: tuple[int, int, int, int]) -> Sample:
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {
        "image": tv_tensors.Image(torch.full((3, *size), colour, dtype=torch.uint8)),
        "boxes": tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=size),
        "labels": torch.full((len(boxes),), colour),
        "masks": tv_tensors.Mask(masks),
    }


def test_what_is_covered_is_cut_from_mask_and_box() -> None:
    under = rectangles((10, 10), 1, (0, 0, 6, 4), (8, 8, 10, 10))
    pasted = ALWAYS(under, rectangles((10, 10), 2, (4, 0, 7, 4)))
    assert pasted["labels"].tolist() == [1, 1, 2]
    assert pasted["boxes"].tolist() == [[0, 0, 4, 4], [8, 8, 10, 10], [4, 0, 7, 4]]
    assert pasted["masks"].flatten(1).sum(1).tolist() == [16, 4, 12]
    assert (pasted["image"][:, :4, 4:7] == 2).all()
    assert int((pasted["image"][0] == 2).sum()) == 12
    assert isinstance(pasted["boxes"], tv_tensors.BoundingBoxes)


def test_an_object_that_is_hardly_seen_any_more_goes() -> None:
    under = rectangles((10, 10), 1, (0, 0, 10, 2))
    assert ALWAYS(under, rectangles((10, 10), 2, (0, 0, 9, 10)))["labels"].tolist() == [1, 2]
    strict = CopyPaste(p=1.0, p_object=1.0, min_visible=0.2)
    assert strict(under, rectangles((10, 10), 2, (0, 0, 9, 10)))["labels"].tolist() == [2]


def test_images_of_other_sizes_meet_at_the_top_left() -> None:
    other = rectangles((20, 5), 2, (2, 8, 5, 14), (0, 15, 5, 20))
    pasted = ALWAYS(rectangles((10, 10), 1), other)
    assert pasted["image"].shape == (3, 10, 10)
    # The first is cut at the lower edge, the second lies below it.
    assert pasted["boxes"].tolist() == [[2, 8, 5, 10]]


def test_a_box_that_keeps_its_pixels_keeps_its_fractions() -> None:
    under = rectangles((10, 10), 1, (0, 0, 4, 4))
    under["boxes"] += 0.25
    pasted = ALWAYS(under, rectangles((10, 10), 2, (6, 6, 8, 8)))
    assert pasted["boxes"][0].tolist() == [0.25, 0.25, 4.25, 4.25]


def test_nothing_to_paste_and_nothing_beneath() -> None:
    empty = rectangles((6, 6), 1)
    assert len(ALWAYS(empty, rectangles((6, 6), 2))["labels"]) == 0
    assert ALWAYS(empty, rectangles((6, 6), 2, (1, 1, 3, 3)))["boxes"].tolist() == [[1, 1, 3, 3]]
    assert CopyPaste(p=0.0)(empty, rectangles((6, 6), 2, (1, 1, 3, 3))) is empty


def test_only_some_objects_are_pasted() -> None:
    other = rectangles((40, 40), 2, *[(i, i, i + 1, i + 1) for i in range(40)])
    count = len(CopyPaste(p=1.0, p_object=0.5)(rectangles((40, 40), 1), other)["labels"])
    assert 5 < count < 35
