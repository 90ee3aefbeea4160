"""The layer for the slot of Hugging Face's `kernels`, and in it where that is installed."""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from hdetr_d2.ops import ms_deform_attn
from hdetr_d2.ops.hub_kernel import HubKernel

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import random_inputs


def test_the_layer_has_no_state_and_computes_the_attention() -> None:
    value, shapes, locations, weights = random_inputs()
    layer = HubKernel().load()()
    assert not list(layer.parameters()) and not list(layer.buffers())
    sizes = torch.tensor(shapes)
    starts = sizes.prod(1).cumsum(0) - sizes.prod(1)
    out = layer(value, sizes, [*shapes], starts, locations, weights, 64)
    assert torch.equal(out, ms_deform_attn(value, shapes, locations, weights))


def test_the_slot_takes_it() -> None:
    kernels = pytest.importorskip("kernels")

    @kernels.use_kernel_forward_from_hub(HubKernel().layer_name)
    class Theirs(nn.Module):
        def forward(self, value, shapes, shapes_list, starts, locations, weights, im2col_step):
            raise NotImplementedError

    value, shapes, locations, weights = random_inputs()
    mapping = {HubKernel().layer_name: {"cpu": HubKernel()}}
    with kernels.use_kernel_mapping(mapping, inherit_mapping=False):
        mode = kernels.Mode.TRAINING | kernels.Mode.TORCH_COMPILE
        layer = kernels.kernelize(Theirs(), mode=mode, device="cpu", use_fallback=False)
    out = layer(value, None, [*shapes], None, locations, weights, 64)
    assert torch.equal(out, ms_deform_attn(value, shapes, locations, weights))
