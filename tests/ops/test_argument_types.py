"""What is no tensor where an operator takes one: the argument is named, with what was given."""

import hdetr_d2  # noqa: F401
from hdetr_d2 import ops

import inspect
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

COUNTS = torch.tensor([2, 1])
MATCHED = {"class_cost": ops.FocalCost(), "weights": ops.CostWeights(1.0, 1.0, 1.0)}
ATTENTION = {"value": torch.rand(1, 6, 2, 4), "spatial_shapes": [(2, 3)]}
BOXES = {"boxes1": torch.rand(3, 4), "boxes2": torch.rand(3, 4)}
# A right call of each operator.
CALLS: dict[str, dict[str, Any]] = {
    "affine_relu": {
        "x": torch.rand(1, 2, 3, 3),
        "scale": torch.rand(2),
        "shift": torch.rand(2),
        "residual": torch.rand(1, 2, 3, 3),
    },
    "batched_assignment": {"cost": torch.rand(2, 3, 5), "num_targets": COUNTS},
    "box_cxcywh_to_xyxy": {"boxes": torch.rand(3, 4)},
    "box_iou": BOXES,
    "box_losses": {
        "boxes": torch.rand(1, 3, 4),
        "truth": torch.rand(1, 2, 4),
        "index": torch.tensor([[0, 1, -1]]),
    },
    "dropout": {"x": torch.rand(4), "p": 0.5, "seeds": torch.tensor([7])},
    "generalized_box_iou": BOXES,
    "linear": {"x": torch.rand(2, 3), "weight": torch.rand(4, 3), "bias": torch.rand(4)},
    "matching_cost": {
        "logits": torch.rand(2, 5, 3),
        "boxes": torch.rand(2, 5, 4),
        "labels": torch.zeros(2, 2, dtype=torch.int64),
        "target_boxes": torch.rand(2, 2, 4),
        "num_targets": COUNTS,
        **MATCHED,
    },
    "move_boxes": {"delta": torch.rand(1, 3, 4), "reference": torch.rand(1, 3, 4)},
    "ms_deform_attn": {
        **ATTENTION,
        "sampling_locations": torch.rand(1, 3, 2, 1, 2, 2),
        "attention_weights": torch.rand(1, 3, 2, 1, 2),
    },
    "ms_deform_attn_fused": {
        **ATTENTION,
        "reference": torch.rand(1, 3, 1, 2),
        "rows": torch.rand(1, 3, 12),
    },
    "pairwise_generalized_box_iou": BOXES,
    "sigmoid_focal_loss": {
        "logits": torch.rand(1, 1, 3, 2),
        "labels": torch.zeros(1, 1, 3, dtype=torch.int64),
    },
}
TENSORS = [
    (op, name) for op, call in CALLS.items() for name in call if isinstance(call[name], Tensor)
]
NOT_TENSORS = [([5, 3], "list"), (np.zeros((2, 3)), "ndarray"), (7, "int")]


def test_every_operator_is_here() -> None:
    functions = {name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))}
    checked = {name for name in functions if not name.endswith("_reference")}
    assert checked == {*CALLS, "linear_sum_assignment"}  # which takes a list of matrices


@pytest.mark.parametrize("op", CALLS)
def test_a_right_call(op: str) -> None:
    getattr(ops, op)(**CALLS[op])


@pytest.mark.parametrize(("given", "kind"), NOT_TENSORS, ids=[kind for _, kind in NOT_TENSORS])
@pytest.mark.parametrize(("op", "name"), TENSORS)
def test_what_is_no_tensor_is_named(op: str, name: str, given: Any, kind: str) -> None:
    wanted = f"{name} must be a Tensor, not {kind}."
    if (name, kind) == ("cost", "list"):  # of which it takes one
        wanted = "cost[0] must be a Tensor, not int."
    with pytest.raises(TypeError, match=f"^{re.escape(wanted)}$"):
        getattr(ops, op)(**{**CALLS[op], name: given})


def test_a_list_of_matrices() -> None:
    with pytest.raises(TypeError, match="^costs must be a list of matrices, not int.$"):
        ops.linear_sum_assignment(5)
    with pytest.raises(TypeError, match=r"^costs\[1\] must be a Tensor, not list.$"):
        ops.linear_sum_assignment([torch.rand(2, 3), [[1.0, 2.0]]])
