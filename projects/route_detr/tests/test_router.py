"""Descriptor and router, on numbers written by hand."""

import math

import pytest
import torch

from hdetr_d2.losses import FocalLoss
from hdetr_d2.projects.route_detr import (
    Descriptor,
    Router,
    RouterSizes,
    ScoreConfidence,
    Similarity,
    SoftmaxConfidence,
)

# Directions with the cosines 0, -1 and 0 of each other.
CONTENT = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(), [-1 / 2, 0, -1 / 2]),
        (dict(rectified=True), [0.0, 0.0, 0.0]),
        (dict(over_all=True), [-1 / 3, 0, -1 / 3]),
        (dict(placed=True), [1.0, 1.0, 1.0]),
    ],
)
def test_similarity(options, expected):
    position = torch.tensor([3.0, 3.0]) - CONTENT  # which makes them all alike
    found = Similarity(**options)(CONTENT, position)
    torch.testing.assert_close(found, torch.tensor([expected]))


def test_one_query_is_like_no_other():
    assert Similarity()(torch.ones(1, 1, 2), torch.ones(1, 1, 2)).tolist() == [[0]]


def describe(reference, logits, confidence=None):
    descriptor = Descriptor(
        similarity=Similarity(), confidence=confidence or SoftmaxConfidence(), least_area=1e-4
    )
    return descriptor(CONTENT.requires_grad_(), torch.zeros(1, 3, 2), reference, logits)


def test_confidence_is_that_of_the_layer_before():
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), 0.0], [-9.0, 9.0]]])
    softmax = describe(None, logits)[0, :, 1]
    torch.testing.assert_close(softmax[:2], torch.tensor([0.5, 0.75]))
    scores = describe(None, logits, ScoreConfidence(class_loss=FocalLoss()))[0, :, 1]
    torch.testing.assert_close(scores[:2], torch.tensor([0.5, 0.75]))
    assert scores[2] == torch.tensor(9.0).sigmoid()
    assert describe(None, None)[0, :, 1].tolist() == [0, 0, 0]


def test_the_area_has_a_least_one_and_points_have_none():
    boxes = torch.tensor([[[0.5, 0.5, 0.5, 0.2], [0, 0, 0, 0], [0.5, 0.5, 1, 1]]])
    found = describe(boxes, None)[0, :, 2]
    torch.testing.assert_close(found, torch.tensor([0.1, 1e-4, 1.0]).log())
    assert describe(boxes[..., :2], None)[0, :, 2].tolist() == [0, 0, 0]
    assert not describe(boxes, None).requires_grad


def router_of_ones(**options) -> Router:
    """One channel everywhere, all weights 1 and all biases 0; strengths of softplus(0) = ln 2."""
    sizes = dict(dim=1, hidden_dim=1, pair_dim=1, rank=1, gate_rank=1, initial_strength=0.0)
    router = Router(RouterSizes(**{**sizes, **options}))
    for name, parameter in router.named_parameters():
        if not name.endswith("raw_strength"):
            torch.nn.init.constant_(parameter, float(name.endswith("weight")))
    return router


def test_the_gate_divides_a_pair_between_suppressor_and_delegator():
    router = router_of_ones()
    content = torch.tensor([[[30.0], [10.0]]])  # where a GELU is the identity
    closed = torch.full((1, 2, 3), 0.0)
    routing = router(content, torch.zeros_like(content), closed)
    assert routing.gate.tolist() == [[[0.5, 0.5], [0.5, 0.5]]]
    torch.testing.assert_close(routing.bias, torch.zeros(1, 2, 2))  # the halves cancel out
    routing = router(content, torch.zeros_like(content), torch.full((1, 2, 3), 5.0))
    expected = -math.log(2) * torch.tensor([[[900.0, 300.0], [300.0, 100.0]]])
    torch.testing.assert_close(routing.bias, expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(), -400.0),  # of 30 - 10, squared
        (dict(limit=2.5), -2.5),
        (dict(rank=4), -1600.0),
        (dict(rank=4, scaled=True), -800.0),
        (dict(concatenated=True), -400.0),
    ],
)
def test_options(options, expected):
    router = router_of_ones(initial_strength=math.log(math.e - 1), **options)  # softplus: 1
    content, position = torch.tensor([[[30.0]]]), torch.tensor([[[-10.0]]])
    routing = router(content, position, torch.full((1, 1, 3), 9.0))
    assert routing.bias.item() == pytest.approx(expected)


def test_content_and_position_side_by_side_are_told_apart():
    router = router_of_ones(concatenated=True)
    with torch.no_grad():
        router.represent[0].weight[:, 1] = 0  # deaf to the position
    content, gate = torch.rand(1, 3, 1), torch.rand(1, 3, 3)
    one, other = (router(content, torch.rand(1, 3, 1), gate) for _ in range(2))
    assert torch.equal(one.bias, other.bias)


def test_a_map_of_one_sign():
    router = router_of_ones(one_signed=True)
    torch.nn.init.constant_(router.suppressor.columns.weight, -1.0)
    content = torch.tensor([[[30.0]]])
    routing = router(content, torch.zeros_like(content), torch.full((1, 1, 3), 5.0))
    assert routing.bias.item() == 0  # it would have raised the score


def test_row_and_column_are_not_alike():
    torch.manual_seed(1)
    router = Router(RouterSizes(dim=8, limit=5.0))
    routing = router(*torch.randn(2, 2, 5, 8), torch.randn(2, 5, 3))
    for each in routing:
        assert each.shape == (2, 5, 5)
        assert not torch.allclose(each, each.transpose(1, 2))
    assert routing.bias.abs().max() <= 5
