"""The relation of boxes: by hand, and against what the released code of Relation-DETR recorded."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hdetr_d2.layers import BoxRelation, QueryState, box_relation

RECORDED = np.load(Path(__file__).parents[1] / "golden" / "relation_detr.npz")
CASES = ["same", "cross", "identical_boxes", "small_embed"]


def state(*boxes: Tensor) -> QueryState:
    content = torch.zeros(*boxes[-1].shape[:2], 8)
    return QueryState(content, content, boxes=boxes)


def array(name: str) -> Tensor:
    return torch.from_numpy(RECORDED[name])


@pytest.fixture(params=CASES)
def case(request) -> tuple[str, BoxRelation]:
    """The name of a recorded case, and a module with its weights."""
    weight = array(f"{request.param}/weights/pos_proj.0.weight")
    heads, feats = weight.shape[:2]
    relation = BoxRelation(num_heads=heads, num_feats=feats // 4)
    weights = {
        "weight": weight[..., 0, 0],
        "bias": array(f"{request.param}/weights/pos_proj.0.bias"),
    }
    relation.proj.load_state_dict(weights)
    return request.param, relation


def test_a_pair_by_hand():
    older = torch.tensor([[[0.2, 0.5, 0.2, 0.4]]])
    newer = torch.tensor([[[0.6, 0.5, 0.1, 0.4], [0.2, 0.1, 0.2, 0.8]]])
    (found,) = box_relation(older, newer)[0]
    expected = [[math.log(3), 0, math.log(2), 0], [0, math.log(2), 0, -math.log(2)]]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=2e-4)


def test_boxes_without_a_side_are_no_infinity():
    boxes = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]])
    bias = BoxRelation(num_heads=2)(1, state(boxes, boxes), state(boxes, boxes))
    assert bias.isfinite().all()


def test_the_recorded_bias(case):
    name, relation = case
    older, newer = array(f"{name}/src_boxes"), array(f"{name}/tgt_boxes")
    pairs = box_relation(older, newer)
    torch.testing.assert_close(pairs, array(f"{name}/encoding"), rtol=0, atol=1e-5)
    # Keys may be more or fewer than queries, and only the newer boxes of keys count.
    bias = relation(3, state(older, older), state(torch.zeros_like(newer), newer))
    torch.testing.assert_close(bias, array(f"{name}/bias"), rtol=0, atol=1e-4)
    assert (bias >= 0).all()


def test_the_recorded_gradients(case):
    name, relation = case
    older, newer = array(f"{name}/src_boxes"), array(f"{name}/tgt_boxes")
    for boxes in (older, newer):
        boxes.requires_grad_()
    relation(3, state(older, older), state(newer, newer)).square().sum().backward()
    assert older.grad is None and newer.grad is None
    for grad, known in (
        (relation.proj.weight.grad, array(f"{name}/grad_sumsq_weight")[..., 0, 0]),
        (relation.proj.bias.grad, array(f"{name}/grad_sumsq_bias")),
    ):
        torch.testing.assert_close(grad, known, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("known", [0, 1])
def test_a_layer_without_two_sets_of_boxes_has_none(known):
    boxes = torch.rand(1, 2, 4)
    content = torch.zeros(1, 2, 8)
    seen = QueryState(content, content, boxes=(boxes,) * known)
    assert BoxRelation(num_heads=2)(0, seen, seen) is None


def test_autocast_changes_nothing():
    boxes = state(torch.rand(1, 5, 4), torch.rand(1, 5, 4))
    relation = BoxRelation(num_heads=2)
    with torch.autocast("cpu", torch.bfloat16):
        found = relation(1, boxes, boxes)
    assert torch.equal(found, relation(1, boxes, boxes))
