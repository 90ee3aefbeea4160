"""What holds for every collaborative head."""

import inspect
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "modeling"))
from device_waits import NoWaits
from draws import in_order
from scenes import STRIDES, blank_pyramid, pixel_targets, random_pyramid

from hdetr_d2.projects.co_detr import (
    ATSSHead,
    CollaborativeHead,
    FasterRCNNHead,
    FCOSHead,
    GFLHead,
    PAAHead,
    PixelTargets,
    ProposalSelection,
    RandomDraw,
    RegionProposalNetwork,
    RetinaNetHead,
    RoIHead,
    heads,
)
from hdetr_d2.projects.co_detr.heads import proposals
from hdetr_d2.structures import NO_LOSS

SIZES = [(64, 96), (80, 50)]
SELECTION = ProposalSelection(per_level=4000, most=100)
DENSE = dict(dim=64, num_classes=3, num_levels=len(STRIDES))


def faster_rcnn(weight: float = 1.0) -> FasterRCNNHead:
    return FasterRCNNHead(
        rpn=RegionProposalNetwork(dim=64, num_samples=64, train=SELECTION, test=SELECTION),
        roi_head=RoIHead(dim=64, num_classes=3, num_levels=4, hidden_dim=24, num_samples=40),
        weight=weight,
    )


HEADS = {
    "faster_rcnn": (faster_rcnn, {"class", "giou", "class_rpn", "bbox_rpn"}),
    "atss": (lambda **k: ATSSHead(**DENSE, **k), {"class", "giou", "centerness"}),
    "fcos": (lambda **k: FCOSHead(**DENSE, **k), {"class", "giou", "centerness"}),
    "gfl": (lambda **k: GFLHead(**DENSE, **k), {"class", "giou", "distribution"}),
    "paa": (lambda **k: PAAHead(**DENSE, **k), {"class", "giou", "iou"}),
    "retinanet": (lambda **k: RetinaNetHead(**DENSE, **k), {"class", "bbox"}),
}
TARGETS = {
    "both": ([[8.0, 8, 40, 40], [30, 2, 90, 60]], [[5, 5, 45, 70]]),
    "one_empty": ([], [[5, 5, 45, 70], [0, 30, 20, 60]]),
    "all_empty": ([], []),
}


@pytest.fixture(params=list(HEADS))
def name(request) -> str:
    return request.param


@pytest.fixture
def head(name) -> CollaborativeHead:
    return HEADS[name][0]()


def run(head, kind="both", draw=in_order, pyramid=None):
    torch.manual_seed(3)
    return head(pyramid or random_pyramid(SIZES), pixel_targets(*TARGETS[kind]), draw)


def test_every_head_is_here():
    exported = {getattr(heads, each) for each in heads.__all__}
    classes = {each for each in exported if inspect.isclass(each)}
    classes = {each for each in classes if issubclass(each, CollaborativeHead)}
    assert classes - {CollaborativeHead} == {type(build()) for build, _ in HEADS.values()}


@pytest.mark.parametrize("kind", TARGETS)
def test_losses_and_gradients(name, head, kind):
    pyramid = random_pyramid(SIZES)
    losses = run(head, kind, pyramid=pyramid).losses
    assert set(losses) == HEADS[name][1]
    for loss in losses.values():
        assert loss.shape == ()
        assert loss.isfinite()
        assert loss >= 0
    for part in set(losses) - {"class", "class_rpn"}:
        assert (losses[part] > 0) == (kind != "all_empty"), part
    sum(losses.values()).backward()
    for parameter, value in head.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.isfinite().all(), parameter
    assert all(map_.grad.isfinite().all() for map_ in pyramid.maps)
    assert pyramid.maps[0].grad.any()


@pytest.mark.parametrize("kind", TARGETS)
def test_candidates(head, kind):
    output = run(head, kind)
    boxes, features, assignment = vars(output.candidates).values()
    batch, count = assignment.shape
    assert boxes.shape == (2, count, 4)
    assert features.shape == (2, count, 64)
    assert features.requires_grad
    assert not boxes.requires_grad
    assert assignment.dtype == torch.int64
    assert assignment.min() >= NO_LOSS
    for image, own in enumerate(TARGETS[kind]):
        learned = assignment[image]
        assert set(learned[learned >= 0].tolist()) == set(range(len(own)))
        assert (learned == -1).any()
    features.sum().backward()  # reaches the maps


def test_boxes_of_positives_lie_near_their_targets(head):
    output = run(head)
    targets = pixel_targets(*TARGETS["both"])
    found = output.candidates
    positive = found.assignment >= 0
    wanted = targets.boxes_of(found.assignment, found.boxes)
    apart = ((found.boxes - wanted)[..., :2] + (found.boxes - wanted)[..., 2:]).abs() / 2
    assert (apart[positive] <= 40).all()  # of the centres


def test_chance_can_be_fixed(head):
    one, same, other = (
        run(head, draw=RandomDraw(torch.Generator().manual_seed(seed))) for seed in (1, 1, 2)
    )
    assert one.losses == same.losses
    assert torch.equal(one.candidates.assignment, same.candidates.assignment)
    draws = isinstance(head, FasterRCNNHead | RetinaNetHead)
    assert torch.equal(one.candidates.boxes, other.candidates.boxes) != draws


def test_weight(name, head):
    heavy = HEADS[name][0](weight=12.0)
    heavy.load_state_dict(head.state_dict())
    for loss, value in run(heavy).losses.items():
        torch.testing.assert_close(value, 12 * run(head).losses[loss])


def test_equal_heads_stand_side_by_side(name, head):
    pair = nn.ModuleDict({name: head, f"{name}_2": HEADS[name][0]()})
    other = nn.ModuleDict({name: HEADS[name][0](), f"{name}_2": HEADS[name][0]()})
    other.load_state_dict(pair.state_dict())
    for one, same in zip(pair.values(), other.values(), strict=True):
        assert run(one).losses == run(same).losses


def test_an_image_does_not_know_the_other(head):
    """But for what losses are divided by, and how many candidates there are."""
    pyramid, targets = random_pyramid(SIZES), pixel_targets(*TARGETS["both"])
    both = head(pyramid, targets, in_order).candidates
    pyramid = replace(pyramid, maps=[map_[1:] for map_ in pyramid.maps], sizes=SIZES[1:])
    targets.labels, targets.boxes, targets.valid = (
        each[1:, :1] for each in (targets.labels, targets.boxes, targets.valid)
    )
    alone = head(pyramid, targets, in_order).candidates
    count = int((both.assignment[1] != NO_LOSS).sum())
    assert torch.equal(alone.assignment[0, :count], both.assignment[1, :count])
    torch.testing.assert_close(alone.boxes[0, :count], both.boxes[1, :count])


def test_detections(head):
    head.eval()
    with torch.no_grad():
        found = head.detect(random_pyramid(SIZES))
    assert [instances.image_size for instances in found] == SIZES
    for instances, (height, width) in zip(found, SIZES, strict=True):
        assert 0 < len(instances) <= 100
        boxes = instances.pred_boxes.tensor
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height] * 2)).all()
        scores = instances.scores
        assert (scores.diff() <= 0).all()
        assert (scores > 0).all()
        assert (scores <= 1).all()
        assert set(instances.pred_classes.tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("sizes", [[(20, 30)], [(3, 5), (1, 1)]])
def test_small_images(head, sizes):
    targets = pixel_targets(*[[[0.0, 0, 1, 1]]] * len(sizes))
    output = head(random_pyramid(sizes), targets, in_order)
    assert all(loss.isfinite() for loss in output.losses.values())
    with torch.no_grad():
        assert len(head.eval().detect(random_pyramid(sizes))) == len(sizes)


def test_autocast(head):
    with torch.autocast("cpu", torch.bfloat16):
        output = run(head)
        with torch.no_grad():
            head.detect(random_pyramid(SIZES))
    for name, loss in run(head).losses.items():
        assert output.losses[name].dtype == torch.float32
        assert output.losses[name].item() == pytest.approx(loss.item(), rel=0.1), name


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_no_value_is_needed_on_the_host(name, device, monkeypatch):
    """Fake tensors have none. The backward pass only where the device is there."""
    # The suppression of proposals does wait, as its docstring says.
    monkeypatch.setattr(proposals, "batched_nms", lambda boxes, *_: boxes[:, 0].argsort())
    with FakeTensorMode():
        with torch.device(device):
            head, pyramid = HEADS[name][0](), random_pyramid(SIZES)
            labels, boxes = torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 4, 4)
            targets = PixelTargets(labels, boxes, torch.ones(2, 4, dtype=torch.bool))
        with NoWaits():
            output = head(pyramid, targets, RandomDraw())
            loss = sum(output.losses.values())
            if device == "cpu":
                loss.backward()
        assert loss.device.type == output.candidates.boxes.device.type == device


def test_no_more_than_what_is_there():
    """A pyramid of one cell a level."""
    for build, _ in HEADS.values():
        output = build()(blank_pyramid([(8, 8)], dim=64), pixel_targets([[1.0, 1, 7, 7]]), in_order)
        assert all(loss.isfinite() for loss in output.losses.values())
