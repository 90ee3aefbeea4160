"""Counts of the operators in a traced graph, beside counts by hand."""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.ops import (
    extension,
    ms_deform_attn,
    ms_deform_attn_fused,
    ms_deform_attn_reference,
)
from hdetr_d2.ops.flops import FLOP_HANDLES

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import SHAPES, random_inputs, random_rows

fvcore = pytest.importorskip("fvcore.nn")
WHY_NOT = extension.why_no_kernel("ms_deform_attn", torch.device("cpu"))
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit")


class Attention(nn.Module):
    """Level sizes come from maps, so that they are tensors while it is traced."""

    def forward(self, large: Tensor, small: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        maps = (large, small)
        shapes = [each.shape[1:3] for each in maps]
        value = torch.cat([each.flatten(1, 2) for each in maps], 1)
        return ms_deform_attn(value, shapes, locations, weights)


class Fused(nn.Module):
    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(queries, keys, values)


def traced_inputs() -> tuple[Tensor, ...]:
    value, _, locations, weights = random_inputs(batch=2, queries=5, heads=3, channels=2, points=2)
    parts = value.split([h * w for h, w in SHAPES], 1)
    maps = [part.unflatten(1, shape) for part, shape in zip(parts, SHAPES, strict=True)]
    return *maps, locations, weights


def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, float]:
    analysis = fvcore.FlopCountAnalysis(module, inputs).set_op_handle(**FLOP_HANDLES)
    return analysis.unsupported_ops_warnings(False).by_operator()


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_deformable_attention() -> None:
    # 2 images, 5 queries, 3 heads, 2 levels, 2 points, each with 2 channels.
    assert count(Attention(), traced_inputs())["ms_deform_attn"] == 5 * (2 * 5 * 3 * 2 * 2) * 2


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_deformable_attention_from_rows() -> None:
    class FromRows(nn.Module):
        def forward(self, value: Tensor, reference: Tensor, rows: Tensor) -> Tensor:
            return ms_deform_attn_fused(value, SHAPES, reference, rows)

    counts = count(FromRows(), random_rows(batch=2, queries=5, heads=3, channels=2, points=2))
    assert counts["ms_deform_attn_fused"] == 5 * (2 * 5 * 3 * 2 * 2) * 2


def test_fused_attention() -> None:
    # 2 images, 3 heads, 5 queries, 7 keys: 4 channels of keys and 6 of values.
    shapes = [(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)]
    inputs = tuple(torch.randn(shape) for shape in shapes)
    assert count(Fused(), inputs)["scaled_dot_product_attention"] == 2 * 3 * 5 * 7 * (4 + 6)


def test_a_trace_computes_the_same() -> None:
    inputs = traced_inputs()
    traced = torch.jit.trace(Attention(), inputs)
    _, _, locations, weights = inputs
    value = torch.cat([each.flatten(1, 2) for each in inputs[:2]], 1)
    expected = ms_deform_attn_reference(value, SHAPES, locations, weights)
    torch.testing.assert_close(traced(*inputs), expected)
