"""The matching cost by hand, against a loop over its definition, and at its limits."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou

from hdetr_d2.ops import CostWeights, FocalCost, SoftmaxCost, matching_cost, matching_cost_reference

INF, NAN = math.inf, math.nan
WEIGHTS = CostWeights(classes=2.0, bbox=5.0, giou=2.0)
COSTS = [FocalCost(), FocalCost(alpha=0.6, gamma=1.5), SoftmaxCost()]


def draw(
    counts: list[int], layers: int = 2, queries: int = 7, classes: int = 5, targets: int = 4
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Tensors of `matching_cost`; the padding of targets is garbage."""
    problems = layers * len(counts)
    logits, boxes = 3 * torch.randn(problems, queries, classes), torch.rand(problems, queries, 4)
    labels = torch.randint(0, max(classes, 1), (len(counts), targets))
    target_boxes = torch.rand(len(counts), targets, 4)
    for image, count in enumerate(counts):
        labels[image, count:] = 10**9
        target_boxes[image, count:] = NAN
    return logits, boxes, labels, target_boxes, torch.tensor(counts, dtype=torch.int64)


def cost_of(inputs: tuple, class_cost=COSTS[0], weights: CostWeights = WEIGHTS) -> Tensor:
    return matching_cost(*inputs, class_cost=class_cost, weights=weights)[0]


def class_cost_of_one(logits: Tensor, label: int, class_cost) -> float:
    if isinstance(class_cost, SoftmaxCost):
        return -float(logits.double().softmax(0)[label])
    p = logits[label].double().sigmoid()
    positive = class_cost.alpha * (1 - p) ** class_cost.gamma * -p.log()
    return float(positive - (1 - class_cost.alpha) * p**class_cost.gamma * -(1 - p).log())


def by_loops(inputs: tuple, class_cost) -> Tensor:
    """Pair by pair, in float64."""
    logits, boxes, labels, target_boxes, counts = inputs
    cost = torch.full((len(logits), labels.shape[1], boxes.shape[1]), INF)
    for p in range(len(logits)):
        image = p % len(labels)
        xyxy, target_xyxy = (
            box_convert(each.double(), "cxcywh", "xyxy") for each in (boxes[p], target_boxes[image])
        )
        for g in range(counts[image]):
            for q in range(boxes.shape[1]):
                giou = generalized_box_iou(target_xyxy[g : g + 1], xyxy[q : q + 1]).item()
                distance = (boxes[p, q] - target_boxes[image, g]).abs().sum().item()
                classes = class_cost_of_one(logits[p, q], int(labels[image, g]), class_cost)
                cost[p, g, q] = 2 * classes + 5 * distance - 2 * giou
    return cost


def test_by_hand():
    # A query whose box is the target's, and one beside it: two squares in a hull of 0.4 x 0.2.
    boxes = torch.tensor([[[0.3, 0.3, 0.2, 0.2], [0.5, 0.3, 0.2, 0.2]]])
    inputs = (torch.zeros(1, 2, 3), boxes, torch.tensor([[1]]), boxes[:, :1], torch.tensor([1]))
    focal = -math.log(2) / 8
    expected = torch.tensor([[[2 * focal - 2, 2 * focal + 5 * 0.2]]])
    torch.testing.assert_close(cost_of(inputs), expected)
    torch.testing.assert_close(cost_of(inputs, SoftmaxCost())[0, 0, 0], torch.tensor(-2 / 3 - 2))
    only_l1 = cost_of(inputs, weights=CostWeights(0.0, 1.0, 0.0))
    torch.testing.assert_close(only_l1, torch.tensor([[[0.0, 0.2]]]))


@pytest.mark.parametrize("class_cost", COSTS)
@pytest.mark.parametrize(("queries", "classes"), [(1, 1), (7, 5), (70, 91)])
def test_against_loops(class_cost, queries: int, classes: int):
    inputs = draw([4, 0, 2], queries=queries, classes=classes)
    cost, nonfinite = matching_cost(*inputs, class_cost=class_cost, weights=WEIGHTS)
    assert cost.dtype == torch.float32
    assert cost.is_contiguous()
    torch.testing.assert_close(cost, by_loops(inputs, class_cost), rtol=1e-5, atol=1e-5)
    assert nonfinite.tolist() == [[0, 0, 0]] * 6


@pytest.mark.parametrize("class_cost", COSTS)
@pytest.mark.parametrize("number", [NAN, INF, -INF])
def test_what_is_not_finite_is_never_cheap_and_is_counted(class_cost, number: float):
    inputs = logits, boxes, _, target_boxes, _ = draw([3, 2])
    before = cost_of(inputs, class_cost)
    logits[0, 1] = number  # three pairs of image 0
    boxes[1, 2, 0] = number  # two pairs of image 1, in L1 and GIoU
    target_boxes[0, 2, 3] = number  # seven pairs of image 0, in both of its problems
    cost, nonfinite = matching_cost(*inputs, class_cost=class_cost, weights=WEIGHTS)
    assert nonfinite.tolist() == [[3, 7, 7], [0, 2, 2], [0, 7, 7], [0, 0, 0]]
    broken = torch.zeros_like(cost, dtype=torch.bool)
    broken[0, :, 1] = broken[1, :, 2] = broken[0, 2] = broken[2, 2] = True
    assert torch.equal(cost, torch.where(broken, INF, before))


def test_a_sum_beyond_the_range_is_infinite_and_no_part_is_blamed():
    inputs = draw([1], layers=1)
    cost, nonfinite = matching_cost(
        *inputs, class_cost=FocalCost(), weights=CostWeights(1.0, -3e38, 3e38)
    )
    assert (cost[0, 0] == INF).any()
    assert nonfinite.tolist() == [[0, 0, 0]]


def test_boxes_without_area_have_a_cost():
    inputs = logits, boxes, _, target_boxes, _ = draw([3], layers=1)
    boxes[0, :4, 2:] = 0.0
    boxes[0, 0] = target_boxes[0, 0] = 0.0
    boxes[0, 5, 2] = -0.5  # and turned over
    assert cost_of(inputs)[:, :3].isfinite().all()


SIZES = dict(counts=[2, 1], layers=2, queries=3, classes=4, targets=2)


@pytest.mark.parametrize("class_cost", COSTS)
@pytest.mark.parametrize(
    "change",
    [
        dict(queries=0),
        dict(layers=0),
        dict(counts=[]),
        dict(counts=[0, 0]),
        dict(counts=[0, 0], targets=0),
        dict(counts=[0, 0], targets=0, classes=0),
        dict(counts=[0, 0], targets=0, queries=0),
    ],
)
def test_nothing_to_match(class_cost, change: dict):
    inputs = draw(**SIZES | change)
    cost, nonfinite = matching_cost(*inputs, class_cost=class_cost, weights=WEIGHTS)
    problems, queries, _ = inputs[0].shape
    assert cost.shape == (problems, inputs[2].shape[1], queries)
    assert (cost == INF).all()
    assert nonfinite.tolist() == [[0, 0, 0]] * problems


@pytest.mark.parametrize("class_cost", COSTS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_computed_in_float32(class_cost, dtype: torch.dtype):
    logits, boxes, labels, target_boxes, counts = draw([3, 1])
    logits, boxes, target_boxes = (each.to(dtype) for each in (logits, boxes, target_boxes))
    cost = cost_of((logits, boxes, labels.int(), target_boxes, counts.int()), class_cost)
    assert cost.dtype == torch.float32
    expected = cost_of(
        (logits.float(), boxes.float(), labels, target_boxes.float(), counts), class_cost
    )
    assert torch.equal(cost, expected)


@pytest.mark.parametrize("class_cost", COSTS)
def test_any_strides(class_cost):
    inputs = draw([4, 2])
    turned = tuple(each.mT.contiguous().mT for each in inputs[:4]) + inputs[4:]
    assert torch.equal(cost_of(turned, class_cost), cost_of(inputs, class_cost))


def test_it_is_outside_of_autograd_and_autocast():
    inputs = draw([3, 2])
    plain = cost_of(inputs)
    for leaf in inputs[:2]:
        leaf.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        cost = cost_of(inputs)
    assert torch.equal(cost, plain)
    assert not cost.requires_grad


def test_a_class_cost_of_ones_own():
    inputs = draw([3, 2])
    seen = []

    def own(logits: Tensor, labels: Tensor) -> Tensor:
        seen.append((labels, torch.is_autocast_enabled("cpu")))
        return torch.full((len(labels), labels.shape[1], logits.shape[1]), 1.5)

    with torch.autocast("cpu", torch.bfloat16):
        cost = cost_of(inputs, own, CostWeights(2.0, 0.0, 0.0))
    assert (cost[0, :3] == 3.0).all()
    assert (cost[1, 2:] == INF).all()
    ((labels, autocast),) = seen
    assert labels.max() < 5  # of the padding, too
    assert not autocast


def test_a_fake_step_needs_no_numbers():
    inputs = draw([3, 2])
    with torch._subclasses.FakeTensorMode() as mode:
        fake = tuple(mode.from_tensor(each) for each in inputs)
        for class_cost in COSTS:
            cost, nonfinite = matching_cost(*fake, class_cost=class_cost, weights=WEIGHTS)
            assert (cost.shape, nonfinite.shape) == ((4, 4, 7), (4, 3))


@pytest.mark.parametrize("class_cost", COSTS)
def test_a_device_without_autocast_has_it_too(class_cost):
    inputs = tuple(each.to("meta") for each in draw([3, 2]))
    for function in (matching_cost, matching_cost_reference):
        cost, nonfinite = function(*inputs, class_cost=class_cost, weights=WEIGHTS)
        assert (cost.shape, nonfinite.shape, cost.device.type) == ((4, 4, 7), (4, 3), "meta")


def wrong(**change: Tensor) -> tuple:
    names = ("logits", "boxes", "labels", "target_boxes", "num_targets")
    return tuple((dict(zip(names, draw([3, 2]), strict=True)) | change).values())


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (dict(logits=torch.zeros(4, 7)), ValueError, r"logits \[P, Q, K\] and labels \[B, G\]"),
        (dict(labels=torch.zeros(2).long()), ValueError, r"labels \[B, G\]"),
        (dict(boxes=torch.zeros(4, 7, 5)), ValueError, r"boxes must be \(4, 7, 4\)"),
        (dict(target_boxes=torch.zeros(2, 3, 4)), ValueError, r"target_boxes must be \(2, 4, 4\)"),
        (dict(num_targets=torch.zeros(3).long()), ValueError, r"num_targets must be \(2,\)"),
        (
            dict(logits=torch.zeros(3, 7, 5), boxes=torch.zeros(3, 7, 4)),
            ValueError,
            "3 problems cannot belong to 2 images",
        ),
        (dict(logits=torch.zeros(4, 7, 0)), ValueError, "without classes"),
        (dict(num_targets=torch.tensor([1, 5])), ValueError, r"num_targets\[1\] is 5"),
        (dict(num_targets=torch.tensor([-1, 0])), ValueError, r"num_targets\[0\] is -1"),
        (
            dict(labels=torch.tensor([[0] * 4, [0, -1, 9, 9]])),
            ValueError,
            "Image 1 has the label -1, but logits have 5 classes",
        ),
        (dict(labels=torch.tensor([[5] * 4, [0] * 4])), ValueError, "Image 0 has the label 5"),
        (dict(logits=torch.zeros(4, 7, 5).long()), TypeError, "logits must be floating"),
        (dict(boxes=torch.zeros(4, 7, 4).long()), TypeError, "boxes must be floating"),
        (dict(labels=torch.zeros(2, 4)), TypeError, "labels must hold integers"),
        (dict(num_targets=torch.zeros(2)), TypeError, "num_targets must hold integers"),
        (dict(boxes=torch.zeros(4, 7, 4, device="meta")), ValueError, "boxes is on meta"),
    ],
)
def test_what_does_not_fit_is_told(change: dict, error: type, sentence: str):
    with pytest.raises(error, match=sentence):
        cost_of(wrong(**change))
