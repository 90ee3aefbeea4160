"""The peers compute what we compute; those that are not here are played by our twin."""

import sys
from types import ModuleType

import pytest
import torch
from ms_deform_attn_cases import CASES, Inputs, draw_inputs
from ms_deform_attn_peers import (
    ANYWHERE,
    DEFORMABLE_DETR,
    ON_CUDA,
    deformable_detr,
    discover,
    grid_sample_form,
)
from torch import Tensor

from hdetr_d2.ops.ms_deform_attn_reference import ms_deform_attn_reference


def draw(name: str, dtype: torch.dtype) -> Inputs:
    return draw_inputs(CASES[name].shrunk(), dtype=dtype, batch=2, device="cpu")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_grid_sample_form_is_ours(name: str, dtype: torch.dtype) -> None:
    inputs = draw(name, dtype)
    expected = inputs.output(ms_deform_attn_reference)
    assert expected.shape == inputs.grad_output.shape
    assert expected.dtype == dtype
    torch.testing.assert_close(inputs.output(grid_sample_form), expected)


class Kernels(ModuleType):
    """The functions of Deformable-DETR's extension, with their arguments in their order."""

    def ms_deform_attn_forward(
        self,
        value: Tensor,
        shapes: Tensor,
        starts: Tensor,
        locations: Tensor,
        weights: Tensor,
        im2col_step: int,
    ) -> Tensor:
        assert len(value) % im2col_step == 0
        areas = shapes.prod(1)
        assert torch.equal(starts, areas.cumsum(0) - areas)
        assert value.dtype == locations.dtype == weights.dtype
        return ms_deform_attn_reference(value, shapes.tolist(), locations, weights)

    def ms_deform_attn_backward(
        self,
        value: Tensor,
        shapes: Tensor,
        starts: Tensor,
        locations: Tensor,
        weights: Tensor,
        gradient: Tensor,
        im2col_step: int,
    ) -> tuple[Tensor, ...]:
        leaves = [each.detach().requires_grad_() for each in (value, locations, weights)]
        with torch.enable_grad():
            out = ms_deform_attn_reference(leaves[0], shapes.tolist(), *leaves[1:])
        return torch.autograd.grad(out, leaves, gradient)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_deformable_detrs_kernel_is_called_as_there(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "MultiScaleDeformableAttention"
    monkeypatch.setitem(sys.modules, name, Kernels(name))
    inputs = draw("decoder-300-near", dtype)
    expected, out = (inputs.output(side) for side in (ms_deform_attn_reference, deformable_detr()))
    torch.testing.assert_close(out, expected)
    theirs, ours = (
        torch.autograd.grad(each, inputs.leaves(), inputs.grad_output) for each in (out, expected)
    )
    for one, other in zip(theirs, ours, strict=True):
        torch.testing.assert_close(one, other)


def test_every_peer_is_found_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MultiScaleDeformableAttention", None)
    found, absent = discover("cuda")
    assert list(found)[: len(ANYWHERE)] == list(ANYWHERE)
    assert len(found) + len(absent) == len(ANYWHERE) + len(ON_CUDA)
    assert any(line.startswith(f"{DEFORMABLE_DETR}: not installed (") for line in absent)


def test_the_cpu_has_no_cuda_peers() -> None:
    assert discover("cpu") == ({name: load() for name, load in ANYWHERE.items()}, [])
