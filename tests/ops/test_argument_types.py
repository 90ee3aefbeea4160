"""What is no tensor or number where an operator takes one: the argument is named, with what was
given.
"""

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


NUMBERS = {
    "affine_relu": ["ceiling"],
    "dropout": ["p"],
    "move_boxes": ["eps"],
    "sigmoid_focal_loss": ["alpha", "gamma"],
}


@pytest.mark.parametrize(("given", "kind"), [("0.5", "str"), (torch.tensor(0.5), "Tensor")])
@pytest.mark.parametrize(("op", "name"), [(op, name) for op in NUMBERS for name in NUMBERS[op]])
def test_what_is_no_number_is_named(op: str, name: str, given: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a number, not {kind}.$"):
        getattr(ops, op)(**{**CALLS[op], name: given})
    getattr(ops, op)(**{**CALLS[op], name: np.float32(0.5)})


@pytest.mark.parametrize("given", [1.5, "2", None, torch.tensor(2)])
def test_a_capacity_is_a_whole_number(given: Any) -> None:
    wanted = f"^A capacity must be a whole number, not {type(given).__name__}.$"
    call = CALLS["batched_assignment"]
    if not isinstance(given, str):  # which is a collection
        with pytest.raises(TypeError, match=wanted):
            ops.batched_assignment(**call, capacity=given)
    with pytest.raises(TypeError, match=wanted):
        ops.batched_assignment([call["cost"]], COUNTS, [given])


def test_a_capacity_of_numpy() -> None:
    found = ops.batched_assignment(**CALLS["batched_assignment"], capacity=np.int64(2))
    assert torch.equal(found, ops.batched_assignment(**CALLS["batched_assignment"], capacity=2))


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("class_cost", ops.FocalCost, r"^class_cost must be .*, not the class FocalCost.$"),
        ("class_cost", "focal", r"^class_cost must be .*, not str.$"),
        ("weights", (2.0, 5.0, 2.0), "^weights must be CostWeights, not tuple.$"),
    ],
)
def test_costs_and_weights_are_named(name: str, given: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        ops.matching_cost(**{**CALLS["matching_cost"], name: given})


@pytest.mark.parametrize("op", ["ms_deform_attn", "ms_deform_attn_fused"])
@pytest.mark.parametrize("given", [None, 6, [2, 3]], ids=str)
def test_level_sizes_are_pairs(op: str, given: Any) -> None:
    wanted = re.escape(f"spatial_shapes must be (H, W) of each level, not {given}.")
    with pytest.raises(TypeError, match=f"^{wanted}$"):
        getattr(ops, op)(**{**CALLS[op], "spatial_shapes": given})


@pytest.mark.parametrize(
    ("op", "name"),
    [(op, name) for op in CALLS if "box_" in op and op != "box_losses" for name in CALLS[op]],
)
def test_boxes_have_four_numbers(op: str, name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be Tensor\[..., 4\], not of shape"):
        getattr(ops, op)(**{**CALLS[op], name: torch.rand(3, 5)})
    if op != "box_cxcywh_to_xyxy":  # which halves whole numbers, too
        with pytest.raises(TypeError, match=f"^{name} must be floating, not torch.int64.$"):
            getattr(ops, op)(**{**CALLS[op], name: torch.ones(3, 4, dtype=torch.int64)})


def test_a_list_of_matrices() -> None:
    for one in (torch.rand(2, 3), np.zeros((2, 3))):
        with pytest.raises(ValueError, match=r"^costs must be a list of matrices: .* \[cost\].$"):
            ops.linear_sum_assignment(one)
    with pytest.raises(TypeError, match=r"^A cost must be real, not torch.complex64.$"):
        ops.linear_sum_assignment([torch.rand(2, 3, dtype=torch.complex64)])
    with pytest.raises(TypeError, match="^costs must be a list of matrices, not int.$"):
        ops.linear_sum_assignment(5)
    with pytest.raises(TypeError, match=r"^costs\[1\] must be a Tensor, not list.$"):
        ops.linear_sum_assignment([torch.rand(2, 3), [[1.0, 2.0]]])
