"""Assigners, on numbers written by hand and on the recorded ones of the released code."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
import recorded_heads as recorded
from scenes import blank_pyramid, pixel_targets, random_targets

from hdetr_d2.ops import box_iou
from hdetr_d2.projects.co_detr.anchors import nine_anchors, square_anchors
from hdetr_d2.projects.co_detr.assigners import MaxIoU, assign_by_centre, assign_by_statistics

B, N = -1, -2

# Of 10 x 10 pixels each; IoU with (0, 0, 10, 10): 1, 0.6, 1/3, 1/9, 0.
ROW = torch.tensor([[float(x), 0, x + 10, 10] for x in (0, 2.5, 5, 8, 20)])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(positive=0.7, negative=0.3), [0, N, N, B, B]),
        (dict(positive=0.5, negative=0.5), [0, 0, B, B, B]),
        (dict(positive=0.6, negative=0.2), [0, 0, N, B, B]),
        (dict(positive=1.1, negative=0.3, rescue=0.3), [0, N, N, B, B]),
        (dict(positive=1.1, negative=0.3, rescue=1.05), [N, N, N, B, B]),
    ],
)
def test_largest_iou(options, expected):
    targets = pixel_targets([[0.0, 0, 10, 10]])
    valid = torch.ones(1, 5, dtype=torch.bool)
    assert MaxIoU(**options)(ROW, valid, targets).tolist() == [expected]


def test_largest_iou_of_several_targets():
    assign = MaxIoU(positive=0.7, negative=0.3, rescue=0.3)
    valid = torch.ones(1, 5, dtype=torch.bool)
    # The second target is nearest to box 2, the third one touches no box.
    targets = pixel_targets([[0.0, 0, 10, 10], [6, 0, 16, 10], [50, 50, 60, 60]])
    assert assign(ROW, valid, targets).tolist() == [[0, N, 1, N, B]]
    # Equal targets: the first one by IoU, the last one of those that rescue.
    equal = pixel_targets([[0.0, 0, 10, 10]] * 2)
    assert MaxIoU(positive=0.7, negative=0.3)(ROW, valid, equal).tolist() == [[0, N, N, B, B]]
    assert assign(ROW, valid, equal).tolist() == [[1, N, N, B, B]]
    none = MaxIoU(positive=0.5, negative=0.4, rescue=0.0)
    assert none(ROW, valid, pixel_targets([[50.0, 50, 60, 60]])).tolist() == [[B] * 5]


def test_largest_iou_without_targets_and_without_boxes():
    targets = pixel_targets([[0.0, 0, 10, 10]], [])
    valid = torch.tensor([[False, True, True, True, True], [True, True, True, False, True]])
    assign = MaxIoU(positive=0.7, negative=0.3, rescue=0.3)
    # Without box 0, box 1 is the best that the target has.
    assert assign(ROW, valid, targets).tolist() == [[N, 0, N, B, B], [B, B, B, N, B]]
    own = torch.stack([ROW, ROW.flip(0)])
    every = torch.ones_like(valid)
    assert assign(own, every, targets).tolist() == [[0, N, N, B, B], [B] * 5]
    assert (assign(ROW, every, pixel_targets([], [])) == B).all()


def slow_largest_iou(boxes: Tensor, targets: Tensor, rule: MaxIoU) -> list[int]:
    def iou(one: list[float], other: list[float]) -> float:
        width = min(one[2], other[2]) - max(one[0], other[0])
        height = min(one[3], other[3]) - max(one[1], other[1])
        inside = max(width, 0) * max(height, 0)
        areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
        return inside / (sum(areas) - inside)

    table = [[iou(box, target) for target in targets.tolist()] for box in boxes.tolist()]
    answer = []
    for row in table:
        best = max(row)
        learned = row.index(best) if best >= rule.positive else N
        answer.append(B if best < rule.negative else learned)
    for column in range(len(targets)):
        best = max(row[column] for row in table)
        for box, row in enumerate(table):
            if row[column] == best and best >= rule.rescue and best > 0:
                answer[box] = column
    return answer


def test_largest_iou_is_that_of_a_slow_loop():
    targets = random_targets(3, 40, (64, 96))  # more than are looked at at once
    anchors = nine_anchors().at(blank_pyramid([(64, 96)], strides=(16, 32)).cells)
    boxes = anchors.boxes.double()
    targets.boxes = targets.boxes.double()
    assign = MaxIoU(positive=0.5, negative=0.4, rescue=0.0)
    found = assign(boxes, torch.ones(3, len(boxes), dtype=torch.bool), targets)
    for image in range(3):
        own = targets.boxes[image, targets.valid[image]]
        if len(own):
            assert found[image].tolist() == slow_largest_iou(boxes, own, assign)


def slow_statistics(anchors, valid: Tensor, targets: Tensor) -> list[int]:
    """Of one image, the paper's algorithm 1."""
    best = [(0.0, B)] * len(anchors.boxes)
    for number, target in enumerate(targets):
        middle = (target[:2] + target[2:]) / 2
        candidates = []
        first = 0
        for length in anchors.lengths:
            level = [i for i in range(first, first + length) if valid[i]]
            level.sort(key=lambda i: (anchors.centres[i] - middle).norm().item())
            candidates += level[:9]
            first += length
        iou = box_iou(anchors.boxes[candidates], target)
        threshold = iou.mean() + iou.std()
        for index, value in zip(candidates, iou, strict=True):
            x, y = anchors.centres[index].tolist()
            inside = min(x - target[0], y - target[1], target[2] - x, target[3] - y) > 0.01
            if value >= threshold and inside and value > best[index][0]:
                best[index] = (value, number)
    return [number if ok else N for (_, number), ok in zip(best, valid, strict=True)]


@pytest.mark.parametrize("sizes", [[(100, 130), (64, 90), (130, 70)], [(20, 20), (9, 9), (16, 8)]])
def test_statistics_are_those_of_a_slow_loop(sizes):
    pyramid = blank_pyramid(sizes)
    anchors = square_anchors().at(pyramid.cells)
    targets = random_targets(3, 12, sizes[0])
    found = assign_by_statistics(anchors, targets)
    for image, valid in enumerate(anchors.valid):
        own = targets.boxes[image, targets.valid[image]]
        assert found[image].tolist() == slow_statistics(anchors, valid, own)


def test_statistics_of_equal_targets_give_the_first_and_of_none_background():
    anchors = square_anchors().at(blank_pyramid([(64, 64), (64, 64), (64, 32)]).cells)
    box = [8.0, 8, 56, 56]
    found = assign_by_statistics(anchors, pixel_targets([box, box], [box], []))
    assert set(found[0].tolist()) == {B, 0}
    assert torch.equal(found[0], found[1])
    assert set(found[2].tolist()) == {B, N}
    none = assign_by_statistics(anchors, pixel_targets([], [], []))
    assert set(none.flatten().tolist()) == {B, N}


def test_recorded_statistics():
    case = recorded.load()
    pyramid = blank_pyramid([tuple(case.unit["atss"]["hw"])])
    targets = pixel_targets(case.arrays["unit_gt"].tolist())
    found = assign_by_statistics(square_anchors().at(pyramid.cells), targets)
    assert (found[0] + 1).tolist() == case.arrays["unit_atss_gt_inds"].tolist()


def test_recorded_largest_iou():
    case = recorded.load()
    pyramid = blank_pyramid([tuple(case.unit["atss"]["hw"])])
    anchors = nine_anchors().at(pyramid.cells)
    first = torch.tensor(case.unit["rpn_base_anchors_stride8"])
    torch.testing.assert_close(anchors.boxes[:9], first, rtol=0, atol=1e-4)
    targets = pixel_targets(case.arrays["unit_gt"].tolist())
    rule = MaxIoU(positive=0.7, negative=0.3, rescue=0.3)
    (found,) = rule(anchors.boxes, anchors.valid, targets)
    expected = case.unit["rpn_maxiou"]
    assert (found >= 0).nonzero()[:, 0].tolist() == expected["pos"]
    assert found[found >= 0].tolist() == expected["pos_gt"]
    assert [(found == B).sum(), (found == N).sum()] == [
        expected["num_neg"],
        expected["num_ignored"],
    ]


def test_centres():
    # The finer level is for sides up to 64 pixels away, the coarser one for all that are farther.
    pyramid = blank_pyramid([(64, 160)], strides=(8, 16))
    anchors = square_anchors(offset=0.5).at(pyramid.cells)
    large, small = [0.0, 0, 160, 64], [8.0, 8, 40, 40]
    (found,) = assign_by_centre(anchors, pixel_targets([large, small]))
    of_large, of_small = (sorted(anchors.centres[found == number].tolist()) for number in (0, 1))
    assert of_small == [[x, y] for x in (20, 28) for y in (20, 28)]  # 1.5 * 8 around (24, 24)
    assert of_large == [[x, y] for x in (72, 88) for y in (24, 40)]  # 1.5 * 16 around (80, 32)
    assert set(found.tolist()) == {0, 1, B}
    # Where several fit, the smallest is learned.
    inner = [12.0, 12, 36, 36]
    (found,) = assign_by_centre(anchors, pixel_targets([large, small, inner]))
    assert sorted(anchors.centres[found == 2].tolist()) == of_small
    assert not (found == 1).any()


def test_centres_need_room_and_an_image():
    pyramid = blank_pyramid([(32, 32), (32, 16)], strides=(8, 16))
    anchors = square_anchors(offset=0.5).at(pyramid.cells)
    thin = [0.0, 13, 32, 15]  # between the points
    found = assign_by_centre(anchors, pixel_targets([thin], []))
    assert set(found[0].tolist()) == {B}
    assert found[1].tolist() == [B, B, N, N] * 4 + [B, N] * 2
    assert set(assign_by_centre(anchors, pixel_targets([], []))[0].tolist()) == {B}


def slow_centres(anchors, targets: Tensor, radius: float) -> list[int]:
    answer = []
    last = anchors.strides.max()
    for (x, y), stride in zip(anchors.centres.tolist(), anchors.strides.tolist(), strict=True):
        fits = []
        for number, (x0, y0, x1, y1) in enumerate(targets.tolist()):
            sides = [x - x0, y - y0, x1 - x, y1 - y]
            least = -1 if stride == anchors.strides.min() else 4 * stride
            most = float("inf") if stride == last else 8 * stride
            middle = max(abs(x - (x0 + x1) / 2), abs(y - (y0 + y1) / 2)) < radius * stride
            if middle and min(sides) > 0 and least <= max(sides) <= most:
                fits.append(((x1 - x0) * (y1 - y0), number))
        answer.append(min(fits)[1] if fits else B)
    return answer


def test_centres_are_those_of_a_slow_loop():
    anchors = square_anchors(offset=0.5).at(blank_pyramid([(200, 300)]).cells)
    anchors.valid = anchors.valid.expand(3, -1)
    targets = random_targets(3, 20, (200, 300))
    found = assign_by_centre(anchors, targets, radius=1.5)
    for image in range(3):
        own = targets.boxes[image, targets.valid[image]]
        assert found[image].tolist() == slow_centres(anchors, own, 1.5)
