"""Cells, anchors and deltas, on numbers written by hand."""

import pytest
import torch

from hdetr_d2.projects.co_detr import PixelTargets, Pyramid
from hdetr_d2.projects.co_detr.anchors import AnchorShapes, nine_anchors, square_anchors
from hdetr_d2.projects.co_detr.box_coder import DeltaCoder
from hdetr_d2.projects.co_detr.boxes import boxes_around, clip_boxes, side_distances
from hdetr_d2.structures import BACKGROUND, NO_LOSS, Targets

SIZES = [(16, 17), (9, 8)]


@pytest.fixture
def pyramid() -> Pyramid:
    """Strides 8 and 16 of a batch of 16 x 24 pixels, cells numbered from 0 on."""
    maps = [torch.arange(12.0).view(2, 1, 2, 3), torch.arange(4.0).view(2, 1, 1, 2)]
    return Pyramid(maps, (8, 16), SIZES)


def test_cells(pyramid):
    cells = pyramid.cells
    fine = [[0, 0], [8, 0], [16, 0], [0, 8], [8, 8], [16, 8]]
    assert cells.places.tolist() == [*fine, [0, 0], [16, 0]]
    assert cells.strides.tolist() == [8] * 6 + [16] * 2
    assert cells.lengths == (6, 2)
    # 17 pixels reach into the third cell; 8 pixels end before the second.
    assert cells.valid.int().tolist() == [[1] * 8, [1, 0, 0, 1, 0, 0, 1, 0]]


def test_tokens_are_in_the_order_of_the_cells(pyramid):
    assert pyramid.tokens[..., 0].tolist() == [
        [0, 1, 2, 3, 4, 5, 0, 1],
        [6, 7, 8, 9, 10, 11, 2, 3],
    ]


def test_square_anchors(pyramid):
    anchors = square_anchors().at(pyramid.cells)
    assert anchors.boxes[:2].tolist() == [[-32, -32, 32, 32], [-24, -32, 40, 32]]
    assert anchors.boxes[-1].tolist() == [16 - 64, -64, 16 + 64, 64]
    assert anchors.centres.tolist() == pyramid.cells.places.tolist()
    middle = square_anchors(offset=0.5).at(pyramid.cells)
    assert middle.centres[[1, 7]].tolist() == [[12, 4], [24, 8]]


def test_anchors_of_a_cell_stand_side_by_side(pyramid):
    shapes = AnchorShapes(scales=(1.0, 2.0), ratios=(1.0, 4.0))
    anchors = shapes.at(pyramid.cells)
    sides = (anchors.boxes[:4, 2:] - anchors.boxes[:4, :2]).tolist()
    assert sides == [[8, 8], [16, 16], [4, 16], [8, 32]]  # width, height; the ratio is height over
    assert anchors.lengths == (24, 8)
    assert anchors.strides.tolist() == [8] * 24 + [16] * 8
    assert anchors.valid[1].nonzero()[:, 0].tolist() == [0, 1, 2, 3, 12, 13, 14, 15, 24, 25, 26, 27]
    assert anchors.boxes[4].tolist() == [4, -4, 12, 4]


def test_nine_anchors_have_the_area_of_their_scale(pyramid):
    boxes = nine_anchors().at(pyramid.cells).boxes[:9]
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    expected = torch.tensor([32.0, 32 * 2 ** (1 / 3), 32 * 2 ** (2 / 3)]).repeat(3)
    torch.testing.assert_close((width * height).sqrt(), expected)
    torch.testing.assert_close(height / width, torch.tensor([0.5] * 3 + [1.0] * 3 + [2.0] * 3))


def test_deltas():
    anchor = torch.tensor([10.0, 10, 30, 50])  # 20 x 40 around (20, 30)
    box = torch.tensor([20.0, 30, 40, 50])  # 20 x 20 around (30, 40)
    deltas = DeltaCoder().encode(anchor, box)
    torch.testing.assert_close(deltas, torch.tensor([0.5, 0.25, 0.0, -0.6931472]))
    scaled = DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2))
    torch.testing.assert_close(
        scaled.encode(anchor, box), deltas / torch.tensor([0.1, 0.1, 0.2, 0.2])
    )
    for coder in (DeltaCoder(), scaled):
        torch.testing.assert_close(coder.decode(anchor, coder.encode(anchor, box)), box)


def test_sides_do_not_explode():
    anchor = torch.tensor([0.0, 0, 16, 16])
    deltas = torch.tensor([0.0, 0, 99, -99], requires_grad=True)
    box = DeltaCoder().decode(anchor, deltas)
    torch.testing.assert_close(box[2:] - box[:2], torch.tensor([1000.0, 16 * 16 / 1000]))
    box.sum().backward()
    assert deltas.grad.isfinite().all()


def test_functions_on_boxes():
    boxes = torch.tensor([[0.0, 0, 4, 4], [2, 2, 6, 6], [9, 9, 9, 9]])
    point = torch.tensor([1.0, 3.0])
    distances = side_distances(point, boxes[0])
    assert distances.tolist() == [1, 3, 3, 1]
    assert boxes_around(point, distances).tolist() == boxes[0].tolist()
    moved = torch.stack([boxes - 3, boxes])
    assert clip_boxes(moved, [(9, 9), (5, 3)]).tolist() == [
        [[0, 0, 1, 1], [0, 0, 3, 3], [6, 6, 6, 6]],
        [[0, 0, 3, 4], [2, 2, 3, 5], [3, 5, 3, 5]],
    ]


def test_targets_in_pixels():
    normalised = torch.tensor([[[0.5, 0.5, 1.0, 0.5]], [[0.25, 0.5, 0.5, 1.0]]])
    targets = Targets(torch.tensor([[7], [0]]), normalised, torch.tensor([[True], [True]]))
    found = PixelTargets.of(targets, [(20, 40), (8, 16)])
    assert found.boxes.tolist() == [[[0, 5, 40, 15]], [[0, 0, 8, 8]]]
    assignment = torch.tensor([[0, BACKGROUND, NO_LOSS]] * 2)
    assert found.labels_of(assignment).tolist() == [[7, -1, -2], [0, -1, -2]]
    otherwise = torch.full((3, 4), -5.0)
    assert found.boxes_of(assignment, otherwise)[1].tolist() == [[0, 0, 8, 8], [-5] * 4, [-5] * 4]
