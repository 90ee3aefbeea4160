"""FLOP counts of the operators, for fvcore's `FlopCountAnalysis` and Detectron2's, which only know
PyTorch's own operators.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Values: TypeAlias = Sequence[Any]
"""Inputs or outputs of a node in a traced graph."""


def _shape(value: Any) -> list[int]:
    return value.type().sizes()


def _ms_deform_attn(inputs: Values, outputs: Values) -> int:
    """Five per channel of a sample (https://arxiv.org/abs/2010.04159): its four neighbours, and its
    weight in the sum.
    """
    value, _, _, weights = inputs
    return 5 * math.prod(_shape(weights)) * _shape(value)[-1]


def _ms_deform_attn_fused(inputs: Values, outputs: Values) -> int:
    """The same: a row has three numbers per sample. fvcore does not count softmax."""
    value, _, _, rows = inputs
    return 5 * math.prod(_shape(rows)) // 3 * _shape(value)[-1]


def _attention(inputs: Values, outputs: Values) -> int:
    """Two matrix products: queries with keys, and weights with values."""
    queries, keys, values = map(_shape, inputs[:3])
    return math.prod(queries[:-1]) * keys[-2] * (queries[-1] + values[-1])


FLOP_HANDLES: dict[str, Callable[[Values, Values], int] | None] = {
    "hdetr_d2::ms_deform_attn": _ms_deform_attn,
    "hdetr_d2::ms_deform_attn_fused": _ms_deform_attn_fused,
    "aten::scaled_dot_product_attention": _attention,
    # Elementwise operations, which fvcore ignores, and integer operations.
    "hdetr_d2::affine_relu": None,
    "hdetr_d2::batched_assignment": None,
    "hdetr_d2::box_losses": None,
    "hdetr_d2::matching_cost": None,
    "hdetr_d2::move_boxes": None,
    "hdetr_d2::sigmoid_focal_loss": None,
    "hdetr_d2::dropout": None,
}
"""For `FlopCountAnalysis(...).set_op_handle(**FLOP_HANDLES)`. As in fvcore, a multiply-add counts
as one. PyTorch's fused attention is included because fvcore lacks it.
"""
