"""The forms of deformable attention that exported files have, against the twin of the kernels."""

import pytest
import torch

from hdetr_d2.ops import ms_deform_attn
from hdetr_d2.ops.ms_deform_attn_gather import ms_deform_attn_gather
from hdetr_d2.ops.ms_deform_attn_grid_sample import ms_deform_attn_grid_sample
from hdetr_d2.ops.ms_deform_attn_reference import ms_deform_attn_reference
from hdetr_d2.ops.portable import Attention, attention_as

FORMS = pytest.mark.parametrize("form", [ms_deform_attn_gather, ms_deform_attn_grid_sample])
SHAPES = [(5, 7), (3, 4), (1, 1)]


def arguments(dtype: torch.dtype, low: float = -0.5, high: float = 1.5) -> tuple:
    generator = torch.Generator().manual_seed(0)
    cells = sum(h * w for h, w in SHAPES)
    value = torch.randn(2, cells, 4, 6, generator=generator, dtype=dtype)
    spread = torch.rand(2, 9, 4, 3, 5, 2, generator=generator, dtype=dtype)
    weights = torch.rand(2, 9, 4, 3, 5, generator=generator, dtype=dtype)
    return value, SHAPES, low + (high - low) * spread, weights


@FORMS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("low", "high"), [(-0.5, 1.5), (0.0, 1.0), (-1e6, 1e6)])
def test_it_is_the_reference(dtype: torch.dtype, low: float, high: float, form: Attention) -> None:
    given = arguments(dtype, low, high)
    expected = ms_deform_attn_reference(*given)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(form(*given), expected, atol=tolerance, rtol=1e-5)


@FORMS
def test_one_value_by_hand(form: Attention) -> None:
    """Between four cells of 1, 2, 3 and 4, and at the corner, where three quarters are outside."""
    value = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)
    places = torch.tensor([[0.5, 0.5], [0.0, 0.0]]).view(1, 2, 1, 1, 1, 2)
    found = form(value, [(2, 2)], places, torch.ones(1, 2, 1, 1, 1))
    assert found.flatten().tolist() == [2.5, 0.25]


def test_a_form_takes_the_place_of_the_operator_for_a_while() -> None:
    given = arguments(torch.float32)
    before = ms_deform_attn(*given)
    with attention_as(lambda *_: "another"):
        assert ms_deform_attn(*given) == "another"
    assert torch.equal(ms_deform_attn(*given), before)
