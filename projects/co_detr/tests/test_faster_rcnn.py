"""Pooling, proposals and samples of Faster R-CNN."""

import sys
from pathlib import Path

import pytest
import torch
from torchvision.ops import roi_align

sys.path.insert(0, str(Path(__file__).parent))
from draws import in_order
from scenes import pixel_targets, random_pyramid

from hdetr_d2.projects.co_detr import ProposalSelection, RegionProposalNetwork, RoIHead
from hdetr_d2.projects.co_detr.heads.proposals import Proposals
from hdetr_d2.projects.co_detr.heads.roi_pooling import pool_boxes

SIZES = [(256, 320), (300, 200)]
STRIDES = (8, 16, 32)


def square(side: float) -> list[float]:
    return [10.0, 20.0, 10.0 + side, 20.0 + side]


# 14 cells of the finest level are 112 pixels.
@pytest.mark.parametrize(
    ("side", "level"), [(5, 0), (112, 0), (223, 0), (224, 1), (300, 1), (448, 2), (2000, 2)]
)
def test_a_box_is_pooled_from_the_level_that_fits(side, level):
    pyramid = random_pyramid(SIZES, STRIDES)
    boxes = torch.tensor([[square(side)], [square(50)]])
    pooled = pool_boxes(pyramid.maps, STRIDES, boxes, torch.ones(2, 1, dtype=torch.bool))
    assert pooled.shape == (2, 64, 7, 7)
    for image, own in enumerate((level, 0)):
        map_ = pyramid.maps[own][image : image + 1]
        expected = roi_align(map_, [boxes[image]], 7, 1 / STRIDES[own], aligned=True)
        torch.testing.assert_close(pooled[image : image + 1], expected)
    pooled[0].sum().backward()
    assert [bool(map_.grad.any()) for map_ in pyramid.maps] == [level == n for n in range(3)]


def test_what_is_not_valid_pools_zeros():
    pyramid = random_pyramid(SIZES, STRIDES)
    boxes = torch.tensor([[square(50), square(50)], [square(500), square(500)]])
    valid = torch.tensor([[True, False], [False, True]])
    pooled = pool_boxes(pyramid.maps, STRIDES, boxes, valid).unflatten(0, (2, 2))
    assert pooled[valid].any()
    assert not pooled[~valid].any()


def test_the_best_proposals_that_do_not_overlap():
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 70], [7, 7, 7, 9]]
    scores = torch.tensor([0.5, 0.9, 0.7, -3.0, -float("inf")])
    level = torch.tensor([0, 0, 1, 1, 1])
    candidates = (torch.tensor(boxes).float(), scores, level)
    found, real = ProposalSelection(per_level=5, most=6).suppress(*candidates)
    assert real.tolist() == [True, True, True, False, False, False]
    # Boxes of different levels leave each other alone; the last box has no area.
    assert found[:3].tolist() == [boxes[1], boxes[2], boxes[3]]
    found, real = ProposalSelection(per_level=5, most=2).suppress(*candidates)
    assert found.tolist() == [boxes[1], boxes[2]]
    assert real.all()


def test_training_looks_at_more_proposals_than_evaluation():
    train, test = (ProposalSelection(per_level=n, iou=1.0) for n in (50, 7))
    rpn = RegionProposalNetwork(dim=64, train=train, test=test)
    pyramid = random_pyramid([(256, 320)] * 2, STRIDES)
    _, train = rpn(pyramid, pixel_targets([square(50)], []), in_order)
    test = rpn.propose(pyramid)
    assert train.boxes.shape == test.boxes.shape == (2, 1000, 4)
    assert train.valid.sum(1).tolist() == [150, 150]
    assert test.valid.sum(1).tolist() == [21, 21]
    assert not train.boxes.requires_grad
    assert (train.boxes <= torch.tensor([320, 256, 320, 256])).all()


def test_proposals_that_lie_in_the_padding_are_none():
    train = ProposalSelection(per_level=4000, most=500, iou=1.0)
    rpn = RegionProposalNetwork(dim=64, train=train)
    pyramid = random_pyramid([(64, 64), (200, 200)], (16,))
    _, found = rpn(pyramid, pixel_targets([square(50)], []), in_order)
    assert 0 < found.valid[0].sum() < found.valid[1].sum()
    sides = found.boxes[..., 2:] - found.boxes[..., :2]
    assert (sides[found.valid] > 0).all()
    assert not sides[~found.valid].all(1).any()


def test_samples_of_an_image_with_few_proposals():
    roi_head = RoIHead(dim=64, num_classes=3, num_levels=3, hidden_dim=8, num_samples=12)
    pyramid, targets = random_pyramid(SIZES, STRIDES), pixel_targets([square(50)], [])
    boxes = torch.tensor([square(50 + 2 * n) for n in range(20)]).expand(2, -1, -1)
    valid = torch.arange(20) < torch.tensor([[20], [5]])
    output = roi_head(pyramid, Proposals(boxes, valid), targets, in_order)
    # The target itself and two of the ten boxes that are near, all far ones; cut to five.
    near = (50 / (50 + 2 * torch.arange(20.0))) ** 2 > 0.5
    assert near.sum() == 11
    assert output.candidates.assignment.tolist() == [
        [0, 0, 0, -1, -1, *[-2] * 7],
        [-1] * 5 + [-2] * 7,
    ]
    assert output.candidates.boxes[0, 0].tolist() == square(50)
    # All twelve of the first image and five of the second have a class loss.
    logits, deltas = roi_head._predict(
        roi_head._pool(pyramid, output.candidates.boxes[:1], torch.ones(1, 12, dtype=torch.bool))
    )
    assert logits.shape == (12, 4)
    assert deltas.shape == (12, 3, 4)
    entropy = -logits.log_softmax(1)
    first = entropy[:3, 0].sum() + entropy[3:, 3].sum()
    empty = roi_head._pool(pyramid, boxes[1:, :5].expand(2, -1, -1), valid[:, :5])[5:]
    second = -roi_head._predict(empty)[0].log_softmax(1)[:, 3].sum()
    torch.testing.assert_close(output.losses["class"], (first + second) / 17)


def test_one_box_for_all_classes():
    options = dict(num_convs=2, num_hidden=1, class_agnostic=True, stds=(0.05, 0.05, 0.1, 0.1))
    roi_head = RoIHead(dim=64, num_classes=3, num_levels=3, hidden_dim=8, **options)
    pyramid = random_pyramid(SIZES, STRIDES)
    targets = pixel_targets([square(50)], [square(120), square(40)])
    near = Proposals(targets.boxes + 3, targets.valid)
    losses = roi_head(pyramid, near, targets, in_order).losses
    sum(losses.values()).backward()
    assert all(parameter.grad.any() for parameter in roi_head.parameters())
    # Boxes start where the proposals are: 1 - IoU of a square with itself and one three pixels off.
    with torch.no_grad():
        roi_head.box_layer.weight.zero_()
    apart = [1 - giou for giou in map(moved_by_three, (50, 120, 40))]
    giou = roi_head(pyramid, near, targets, in_order).losses["giou"]
    assert giou.item() == pytest.approx(10 * sum(apart) / 6)
    found = roi_head.eval().detect(pyramid, near)
    for image, instances in enumerate(found):
        count = int(near.valid[image].sum())
        assert len(instances) == 3 * count
        kept = {tuple(box) for box in instances.pred_boxes.tensor.tolist()}
        assert kept == {tuple(box) for box in near.boxes[image, :count].tolist()}


def moved_by_three(side: float) -> float:
    """GIoU of a square with the same, three pixels right and down."""
    inside = (side - 3) ** 2
    union, hull = 2 * side**2 - inside, (side + 3) ** 2
    return inside / union - (hull - union) / hull


def test_no_proposals_at_all():
    roi_head = RoIHead(dim=64, num_classes=3, num_levels=3, hidden_dim=8)
    pyramid = random_pyramid(SIZES, STRIDES)
    none = Proposals(torch.zeros(2, 30, 4), torch.zeros(2, 30, dtype=torch.bool))
    output = roi_head(pyramid, none, pixel_targets([], []), in_order)
    assert [loss.item() for loss in output.losses.values()] == [0, 0]
    assert (output.candidates.assignment == -2).all()
    assert [len(each) for each in roi_head.detect(pyramid, none)] == [0, 0]
