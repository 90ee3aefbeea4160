import pytest
import torch
import torchvision

from hdetr_d2.ops import (
    box_cxcywh_to_xyxy,
    box_iou,
    generalized_box_iou,
    pairwise_generalized_box_iou,
)


def random_boxes(*shape: int) -> torch.Tensor:
    """xyxy."""
    start = torch.rand(*shape, 2)
    return torch.cat([start, start + 0.05 + torch.rand(*shape, 2)], -1)


def test_box_conversion():
    boxes = torch.tensor([[0.5, 0.4, 0.2, 0.6]])
    assert box_cxcywh_to_xyxy(boxes)[0].tolist() == pytest.approx([0.4, 0.1, 0.6, 0.7])
    assert box_cxcywh_to_xyxy(torch.zeros(2, 0, 4)).shape == (2, 0, 4)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0.0, 0.0, 2.0, 2.0], 1.0),
        ([1.0, 0.0, 3.0, 2.0], 1 / 3),  # half of each
        ([2.0, 0.0, 4.0, 2.0], 0.0),  # side by side
        ([3.0, 0.0, 4.0, 2.0], -2 / 8),  # a gap of 1 x 2 in a hull of 4 x 2
        ([0.5, 0.5, 1.0, 1.5], 0.5 / 4),  # inside
    ],
)
def test_generalized_iou_by_hand(box: list[float], expected: float):
    square = torch.tensor([0.0, 0.0, 2.0, 2.0])
    assert generalized_box_iou(square, torch.tensor(box)).item() == pytest.approx(
        expected, abs=1e-6
    )
    assert generalized_box_iou(torch.tensor(box), square).item() == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0.0, 0.0, 2.0, 2.0], 1.0),
        ([1.0, 0.0, 3.0, 2.0], 1 / 3),
        ([3.0, 0.0, 4.0, 2.0], 0.0),
        ([1.0, 1.0, 1.0, 1.0], 0.0),  # without area
    ],
)
def test_iou_by_hand(box: list[float], expected: float):
    square = torch.tensor([0.0, 0.0, 2.0, 2.0])
    assert box_iou(square, torch.tensor(box)).item() == pytest.approx(expected)


def test_pairwise_against_torchvision():
    one, other = random_boxes(3, 5), random_boxes(3, 7)
    expected = torch.stack(
        [torchvision.ops.generalized_box_iou(a, b) for a, b in zip(one, other, strict=True)]
    )
    pairwise = pairwise_generalized_box_iou(one, other)
    torch.testing.assert_close(pairwise, expected)
    aligned = generalized_box_iou(one, other[:, :5])
    torch.testing.assert_close(aligned, pairwise[:, :, :5].diagonal(dim1=1, dim2=2))
    assert pairwise_generalized_box_iou(one[:, :0], other).shape == (3, 0, 7)


def test_iou_against_torchvision():
    one, other = random_boxes(5), random_boxes(7)
    expected = torchvision.ops.box_iou(one, other)
    torch.testing.assert_close(box_iou(one[:, None], other), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("side", [512.0, 2.0**-8])  # an area beyond float16, and below its normals
def test_areas_of_boxes_in_16_bits(side: float, dtype: torch.dtype) -> None:
    square = torch.tensor([0.0, 0.0, side, side], dtype=dtype)
    half = torch.tensor([0.0, 0.0, side, side / 2], dtype=dtype)
    for function in (box_iou, generalized_box_iou):
        assert function(square, half).dtype == torch.float32
        assert function(square, half).item() == function(half.float(), square).item() == 0.5
    assert pairwise_generalized_box_iou(square[None], half[None]).tolist() == [[0.5]]


@pytest.mark.parametrize("side", [1.0, 3e-4, 2e-4, 1e-5, 1e-6, 2.0**-20])
def test_small_boxes_are_boxes(side: float):
    one = box_cxcywh_to_xyxy(torch.tensor([0.5, 0.5, side, side]))
    assert generalized_box_iou(one, one).item() == box_iou(one, one).item() == 1.0


def test_a_small_box_beside_another():
    side = 2.0**-20  # numbers that are exact in float32
    one = torch.tensor([0.0, 0.0, 2 * side, side])
    other = torch.tensor([side, 0.0, 3 * side, side])
    assert box_iou(one, other).item() == pytest.approx(1 / 3)
    assert generalized_box_iou(one, other).item() == pytest.approx(1 / 3)
    far = torch.tensor([4 * side, 0.0, 6 * side, side])
    assert generalized_box_iou(one, far).item() == pytest.approx(-2 / 6)


LINE = [0.3, 0.2, 0.3, 0.7]
DEGENERATE = {
    "a point and itself": ([0.3] * 4, [0.3] * 4, 0.0),
    "a line and itself": (LINE, LINE, 0.0),
    "crossing lines": (LINE, [0.1, 0.4, 0.9, 0.4], -1.0),
    "a line in a box": (LINE, [0.1, 0.1, 0.9, 0.9], 0.0),
    "too small for an area": ([0.0, 0.0, 1e-25, 1e-25], [0.0, 0.0, 1e-25, 1e-25], 0.0),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_boxes_without_area_have_an_iou_and_moderate_gradients(name: str):
    box, other, expected = DEGENERATE[name]
    one = torch.tensor(box, requires_grad=True)
    assert box_iou(one, torch.tensor(other)).item() == pytest.approx(0.0, abs=1e-12)
    value = generalized_box_iou(one, torch.tensor(other))
    assert value.item() == pytest.approx(expected, abs=1e-6)
    (gradient,) = torch.autograd.grad(value, one)
    assert gradient.abs().max() < 10


def test_boxes_without_area_give_finite_gradients():
    point = torch.tensor([0.3, 0.3, 0.3, 0.3], requires_grad=True)
    for other in ([0.3, 0.3, 0.3, 0.3], [0.5, 0.3, 0.5, 0.3], [0.1, 0.1, 0.9, 0.9]):
        value = generalized_box_iou(point, torch.tensor(other))
        (gradient,) = torch.autograd.grad(value, point)
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_generalized_iou_gradients():
    one, other = random_boxes(6).double().requires_grad_(), random_boxes(6).double()
    assert torch.autograd.gradcheck(lambda boxes: generalized_box_iou(boxes, other), one)
