"""The compiled kernels of the fused form on the CPU: against their twin, and under PyTorch's own
checks of an op."""

import hdetr_d2  # noqa: F401

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hdetr_d2.ops import extension, ms_deform_attn_fused, ms_deform_attn_fused_reference

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import SHAPES, differentiate_rows, random_rows

WHY_NOT = extension.why_no_kernel("ms_deform_attn_fused", torch.device("cpu"))
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

FLAT = [size for shape in SHAPES for size in shape]
TOLERANCES = {
    torch.float64: 1e-11,
    torch.float32: 2e-5,
    torch.bfloat16: 2e-2,
    torch.float16: 3e-3,
}


def op_arguments(dtype: torch.dtype = torch.float64, numbers: int = 2) -> tuple:
    value, reference, rows = random_rows(numbers=numbers)
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    return value.to(dtype), FLAT, reference.to(exact), rows.to(dtype)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("numbers", [2, 4])
@pytest.mark.parametrize("queries", [7, 700], ids=["few", "many"])
def test_the_twin_agrees(dtype, numbers, queries):
    shapes = ((20, 24), (10, 12), (5, 6))
    drawn = random_rows(queries=queries, channels=20, numbers=numbers, shapes=shapes, points=3)
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    given = [each.to(kind) for each, kind in zip(drawn, (dtype, exact, dtype), strict=True)]
    found = differentiate_rows(ms_deform_attn_fused, *given, shapes=shapes)
    wanted = differentiate_rows(ms_deform_attn_fused_reference, *given, shapes=shapes)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        error = (one.double() - other.double()).abs().max() / other.double().abs().max()
        assert error < TOLERANCES[dtype]


@pytest.mark.parametrize("numbers", [2, 4])
def test_locations_have_the_bits_of_the_composition(numbers):
    """Half-cell steps over the borders of cells: one bit more or less would be another gradient."""
    shapes, queries = [(4, 6)], 40
    reference = torch.rand(1, queries, 1, numbers)
    rows = torch.cat([torch.arange(-20, 20).repeat(queries, 1) / 2, torch.zeros(queries, 20)], -1)
    value = torch.randn(1, 24, 1, 8)
    found = differentiate_rows(ms_deform_attn_fused, value, reference, rows[None], shapes=shapes)
    wanted = differentiate_rows(
        ms_deform_attn_fused_reference, value, reference, rows[None], shapes=shapes
    )
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("differentiable", [True, False])
def test_opcheck_forward(dtype, differentiable):
    value, shapes, *others = op_arguments(dtype)
    tensors = [tensor.requires_grad_(differentiable) for tensor in (value, *others)]
    arguments = (tensors[0], shapes, *tensors[1:])
    torch.library.opcheck(torch.ops.hdetr_d2.ms_deform_attn_fused.default, arguments)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("of_reference", [True, False])
def test_opcheck_backward(dtype, of_reference):
    grad_output = torch.randn(2, 5, 6, dtype=dtype)
    arguments = (grad_output, *op_arguments(dtype, numbers=4), of_reference, False)
    torch.library.opcheck(torch.ops.hdetr_d2.ms_deform_attn_fused_backward.default, arguments)


def test_the_reference_has_a_gradient_only_where_it_is_asked_for():
    value, _, reference, rows = op_arguments(torch.float32)
    out = ms_deform_attn_fused(value, SHAPES, reference, rows.requires_grad_())
    out.sum().backward()
    assert reference.grad is None and rows.grad is not None
    op = torch.ops.hdetr_d2.ms_deform_attn_fused_backward
    given = (torch.ones(2, 5, 6), value, FLAT, reference, rows.detach())
    assert op(*given, False, False)[1].numel() == 0
    assert op(*given, True, False)[1].shape == reference.shape


@pytest.fixture
def restore_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("queries", [7, 700], ids=["few", "many"])
def test_equal_to_the_bit_with_any_number_of_threads(dtype, queries, restore_threads):
    shapes = ((20, 24), (10, 12), (5, 6))
    value, reference, rows = random_rows(queries=queries, channels=20, numbers=4, shapes=shapes)
    given = (value.to(dtype), reference.float(), rows.to(dtype))
    answers = []
    for threads in (1, 2, 4, 1):
        torch.set_num_threads(threads)
        answers.append(differentiate_rows(ms_deform_attn_fused, *given, shapes=shapes))
    for other in answers[1:]:
        assert all(torch.equal(a, b) for a, b in zip(answers[0], other, strict=True))


def bad(**change) -> tuple:
    names = ("value", "shapes", "reference", "rows")
    return tuple((dict(zip(names, op_arguments(torch.float32), strict=True)) | change).values())


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(shapes=[3, 4, 2, 3]), "18 cells together, but value has 16"),
        (dict(shapes=[3, 4, 2]), "spatial_shapes"),
        (dict(value=torch.zeros(2, 16, 6)), "value"),
        (dict(value=torch.zeros(2, 16, 3, 2, dtype=torch.int32)), "value must be float"),
        (dict(reference=torch.zeros(2, 5, 2, 3)), "reference must be"),
        (dict(reference=torch.zeros(2, 5, 1, 2)), "reference has the size 1 instead of 2"),
        (dict(reference=torch.zeros(2, 5, 2, 2).double()), "reference must be float32"),
        (dict(rows=torch.zeros(2, 5, 35)), "35 numbers cannot be three for each point of 3 heads"),
        (dict(rows=torch.zeros(1, 5, 36)), "rows has the size 1 instead of 2"),
        (dict(rows=torch.zeros(2, 36)), "rows must be"),
        (dict(rows=torch.zeros(2, 5, 36).half()), "rows must be float32 or of the type of value"),
    ],
)
def test_the_op_itself_refuses_what_does_not_fit(change, message):
    arguments = bad(**change)
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.ms_deform_attn_fused(*arguments)
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.ms_deform_attn_fused_backward(
            torch.zeros(2, 5, 6), *arguments, True, False
        )
