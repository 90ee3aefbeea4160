"""Losses, targets and detections of the one-stage heads, against slow loops over single anchors."""

import math
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, box_iou, generalized_box_iou

sys.path.insert(0, str(Path(__file__).parent))
from draws import in_order
from scenes import STRIDES, pixel_targets, random_pyramid
from slow_mixture import smaller_half

from hdetr_d2.projects.co_detr import ATSSHead, FCOSHead, GFLHead, PAAHead, RetinaNetHead

SIZES = [(64, 96), (80, 50)]
BOXES = ([[8.0, 8, 40, 40], [30, 2, 90, 60], [20, 20, 60, 44]], [[5.0, 5, 45, 70]])
SIZES_OF_HEAD = dict(dim=64, num_classes=3, num_levels=len(STRIDES))


class Scene:
    """What a head predicts and learns, anchor by anchor."""

    def __init__(self, head: torch.nn.Module, boxes=BOXES) -> None:
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        self.head, self.pyramid = head, random_pyramid(SIZES)
        self.targets = pixel_targets(*boxes)
        with torch.no_grad():
            self.found = head.predictor(self.pyramid.maps)
        self.anchors = head.shapes.at(self.pyramid.cells)
        self.assignment = head.assign(self.found, self.anchors, self.targets)
        self.positives = [
            (image, anchor, int(self.assignment[image, anchor]))
            for image, anchor in (self.assignment >= 0).nonzero().tolist()
        ]
        assert len(self.positives) > 3
        losses = head(self.pyramid, self.targets, in_order).losses
        self.losses = {name: loss.item() for name, loss in losses.items()}

    def box(self, image: int, anchor: int) -> Tensor:
        return decoders[type(self.head)](self, self.found.boxes[image, anchor], anchor)

    def centre(self, anchor: int) -> Tensor:
        x0, y0, x1, y1 = self.anchors.boxes[anchor]
        return torch.stack([x0 + x1, y0 + y1]) / 2

    def giou_loss(self, image: int, anchor: int, target: int) -> float:
        wanted = self.targets.boxes[image, target]
        return 1 - generalized_box_iou(self.box(image, anchor)[None], wanted[None]).item()

    def iou(self, image: int, anchor: int, target: int) -> float:
        wanted = self.targets.boxes[image, target]
        return box_iou(self.box(image, anchor)[None], wanted[None]).item()

    def focal(self) -> float:
        """The sum over all anchors that learn a class or the background."""
        total = 0.0
        for image, anchor in (self.assignment != -2).nonzero().tolist():
            target = int(self.assignment[image, anchor])
            label = -1 if target < 0 else int(self.targets.labels[image, target])
            total += slow_focal(self.found.logits[image, anchor], label)
        return total

    def per_image(self) -> list[int]:
        return [sum(1 for i, *_ in self.positives if i == image) for image in (0, 1)]


def slow_focal(logits: Tensor, label: int) -> float:
    total = 0.0
    for number, logit in enumerate(logits.tolist()):
        share = 1 / (1 + math.exp(-logit))
        if number == label:
            total -= 0.25 * (1 - share) ** 2 * math.log(share)
        else:
            total -= 0.75 * share**2 * math.log(1 - share)
    return total


def from_deltas(scene: Scene, raw: Tensor, anchor: int, stds=(0.1, 0.1, 0.2, 0.2)) -> Tensor:
    x0, y0, x1, y1 = scene.anchors.boxes[anchor].tolist()
    dx, dy, dw, dh = (value * std for value, std in zip(raw.tolist(), stds, strict=True))
    x, y = (x0 + x1) / 2 + dx * (x1 - x0), (y0 + y1) / 2 + dy * (y1 - y0)
    w, h = (x1 - x0) * math.exp(dw), (y1 - y0) * math.exp(dh)
    return torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


def from_sides(scene: Scene, distances: list[float], anchor: int) -> Tensor:
    x, y = scene.centre(anchor).tolist()
    stride = scene.anchors.strides[anchor].item()
    left, top, right, bottom = (distance * stride for distance in distances)
    return torch.tensor([x - left, y - top, x + right, y + bottom])


def from_exponents(scene: Scene, raw: Tensor, anchor: int) -> Tensor:
    return from_sides(scene, [math.exp(value) for value in raw.tolist()], anchor)


def from_distributions(scene: Scene, raw: Tensor, anchor: int) -> Tensor:
    shares = raw.view(4, 17).softmax(1).tolist()
    return from_sides(scene, [sum(n * s for n, s in enumerate(side)) for side in shares], anchor)


decoders = {
    ATSSHead: from_deltas,
    PAAHead: from_deltas,
    FCOSHead: from_exponents,
    GFLHead: from_distributions,
    RetinaNetHead: lambda scene, raw, anchor: from_deltas(scene, raw, anchor, (1, 1, 1, 1)),
}


def slow_centerness(point: Tensor, box: Tensor) -> float:
    x, y = point.tolist()
    x0, y0, x1, y1 = box.tolist()
    sides = (x - x0, x1 - x), (y - y0, y1 - y)
    return math.sqrt(math.prod(min(pair) / max(pair) for pair in sides))


def entropy(logit: Tensor, wanted: float) -> float:
    return F.binary_cross_entropy_with_logits(logit, torch.tensor(wanted)).item()


@pytest.mark.parametrize("make", [ATSSHead, FCOSHead])
def test_centerness_heads(make):
    scene = Scene(make(**SIZES_OF_HEAD))
    count = (
        sum(scene.per_image()) if make is FCOSHead else sum(max(n, 1) for n in scene.per_image())
    )
    weights = 0.0
    giou, centred = 0.0, 0.0
    for image, anchor, target in scene.positives:
        wanted = slow_centerness(scene.centre(anchor), scene.targets.boxes[image, target])
        weights += wanted
        giou += wanted * scene.giou_loss(image, anchor, target)
        centred += entropy(scene.found.quality[image, anchor], wanted)
    heavy = 1.0 if make is FCOSHead else 2.0
    expected = {
        "class": scene.focal() / count,
        "giou": heavy * giou / max(weights, 1),
        "centerness": centred / count,
    }
    assert scene.losses == pytest.approx(expected, rel=1e-4)


def test_retinanet():
    scene = Scene(RetinaNetHead(**SIZES_OF_HEAD))
    count, distance = sum(scene.per_image()), 0.0
    for image, anchor, target in scene.positives:
        x0, y0, x1, y1 = scene.anchors.boxes[anchor].tolist()
        u0, v0, u1, v1 = scene.targets.boxes[image, target].tolist()
        w, h = x1 - x0, y1 - y0
        wanted = [
            ((u0 + u1) - (x0 + x1)) / 2 / w,
            ((v0 + v1) - (y0 + y1)) / 2 / h,
            math.log((u1 - u0) / w),
            math.log((v1 - v0) / h),
        ]
        raw = scene.found.boxes[image, anchor].tolist()
        distance += sum(abs(a - b) for a, b in zip(raw, wanted, strict=True))
    expected = {"class": scene.focal() / count, "bbox": distance / count}
    assert scene.losses == pytest.approx(expected, rel=1e-4)


def test_gfl():
    scene = Scene(GFLHead(**SIZES_OF_HEAD))
    quality = {
        (image, anchor): (target, scene.iou(image, anchor, target))
        for image, anchor, target in scene.positives
    }
    total = 0.0
    for image, anchor in (scene.assignment != -2).nonzero().tolist():
        target, iou = quality.get((image, anchor), (None, 0.0))
        label = -1 if target is None else int(scene.targets.labels[image, target])
        for number, logit in enumerate(scene.found.logits[image, anchor]):
            wanted = iou if number == label else 0.0
            total += entropy(logit, wanted) * (logit.sigmoid().item() - wanted) ** 2
    weights, giou, distribution = 0.0, 0.0, 0.0
    for image, anchor, target in scene.positives:
        weight = scene.found.logits[image, anchor].sigmoid().max().item()
        weights += weight
        giou += weight * scene.giou_loss(image, anchor, target)
        stride = scene.anchors.strides[anchor]
        x0, y0, x1, y1 = scene.targets.boxes[image, target]
        x, y = scene.centre(anchor)
        sides = [(each / stride).clamp(0, 15.9).item() for each in (x - x0, y - y0, x1 - x, y1 - y)]
        shares = scene.found.boxes[image, anchor].view(4, 17).log_softmax(1).tolist()
        for side, share in zip(sides, shares, strict=True):
            low = int(side)
            part = (low + 1 - side) * share[low] + (side - low) * share[low + 1]
            distribution -= weight * part / 4
    expected = {
        "class": total / sum(scene.per_image()),
        "giou": 2 * giou / max(weights, 1),
        "distribution": 0.25 * distribution / max(weights, 1),
    }
    assert scene.losses == pytest.approx(expected, rel=1e-4)


def test_paa_losses():
    scene = Scene(PAAHead(**SIZES_OF_HEAD))
    count = max(len(scene.positives), 2)
    ious, giou, entropies = 0.0, 0.0, 0.0
    for image, anchor, target in scene.positives:
        iou = scene.iou(image, anchor, target)
        ious += iou
        giou += iou * scene.giou_loss(image, anchor, target)
        entropies += entropy(scene.found.quality[image, anchor], iou)
    expected = {
        "class": scene.focal() / count,
        "giou": 1.3 * giou / ious,
        "iou": 0.5 * entropies / count,
    }
    assert scene.losses == pytest.approx(expected, rel=1e-4)


def test_what_paa_learns():
    scene = Scene(PAAHead(**SIZES_OF_HEAD))
    candidates = scene.head.nearby(scene.anchors.boxes, scene.anchors.valid, scene.targets)
    expected = []
    for image, boxes in enumerate(BOXES):
        for target in range(len(boxes)):
            kept, first = [], 0
            for length in scene.anchors.lengths:
                level = []
                for anchor in range(first, first + length):
                    if candidates[image, anchor] == target:
                        label = int(scene.targets.labels[image, target])
                        loss = slow_focal(scene.found.logits[image, anchor], label)
                        loss += 1.3 * scene.giou_loss(image, anchor, target)
                        level.append((loss, anchor))
                kept += sorted(level)[:9]
                first += length
            expected += [(image, anchor, target) for anchor in smaller_half(sorted(kept))]
    assert sorted(scene.positives) == sorted(expected)


@pytest.mark.parametrize("make", decoders)
def test_detections_are_those_of_a_slow_loop(make):
    scene = Scene(make(**SIZES_OF_HEAD))
    with torch.no_grad():
        found = scene.head.eval().detect(scene.pyramid)
    for image, (height, width) in enumerate(SIZES):
        boxes, scores, labels, first = [], [], [], 0
        for length in scene.anchors.lengths:
            pairs = [
                (logit.item(), anchor, label)
                for anchor in range(first, first + length)
                for label, logit in enumerate(scene.found.logits[image, anchor].sigmoid())
            ]
            first += length
            for score, anchor, label in sorted(pairs, reverse=True)[:1000]:
                if scene.found.quality is not None:
                    score *= scene.found.quality[image, anchor].sigmoid().item()
                box = scene.box(image, anchor).clamp(min=0)
                boxes.append(torch.minimum(box, torch.tensor([width, height] * 2)))
                scores.append(math.sqrt(score) if make is PAAHead else score)
                labels.append(label)
        boxes, scores, labels = torch.stack(boxes), torch.tensor(scores), torch.tensor(labels)
        iou = 0.5 if make is RetinaNetHead else 0.6
        kept = batched_nms(boxes, scores, labels, iou)[:100]
        instances = found[image]
        torch.testing.assert_close(instances.scores, scores[kept])
        assert (instances.pred_classes == labels[kept]).float().mean() > 0.95
        same = (instances.pred_boxes.tensor - boxes[kept]).abs().amax(1) < 1e-2
        assert same.float().mean() > 0.95  # equal scores change places


@pytest.mark.parametrize("make", decoders)
def test_boxes_are_not_rounded_under_autocast(make):
    scene = Scene(make(**SIZES_OF_HEAD))
    expected = scene.head.decode(scene.found.boxes, scene.anchors)
    with torch.autocast("cpu", torch.bfloat16):
        found = scene.head.decode(scene.found.boxes, scene.anchors)
        again = scene.head.assign(scene.found, scene.anchors, scene.targets)
    assert torch.equal(found, expected)
    assert torch.equal(again, scene.assignment)


def test_candidates_of_retinanet_have_the_features_of_their_cells():
    head = RetinaNetHead(**SIZES_OF_HEAD, max_candidates=12)
    pyramid = random_pyramid(SIZES)
    found = head(pyramid, pixel_targets(*BOXES), in_order).candidates
    assert found.assignment.shape == (2, 12)
    assert (found.assignment >= 0).sum(1).tolist() == [6, 6]
    tokens, anchors = pyramid.tokens, head.shapes.at(pyramid.cells)
    for image in (0, 1):
        for box, feature in zip(found.boxes[image], found.features[image], strict=True):
            cells = (anchors.boxes == box).all(1).nonzero()[:, 0] // 9
            assert any(torch.equal(feature, tokens[image, cell]) for cell in cells)


def test_candidates_outside_of_an_image_are_background_without_a_box():
    pyramid = random_pyramid(SIZES)
    found = ATSSHead(**SIZES_OF_HEAD)(pyramid, pixel_targets(*BOXES), in_order).candidates
    outside = ~pyramid.cells.valid
    assert outside.any()
    assert not found.boxes[outside].any()
    assert (found.assignment[outside] == -1).all()
    assert torch.equal(found.features, pyramid.tokens)
