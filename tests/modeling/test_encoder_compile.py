"""torch.compile and export of an encoder layer, with the kernels if they are built and with their
twin."""

import hdetr_d2  # noqa: F401

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from hdetr_d2.modeling.transformer.deformable_encoder import DeformableEncoderLayer
from hdetr_d2.modeling.transformer.sizes import LayerSizes
from hdetr_d2.structures import Memory

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("forget_graphs"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def layer() -> DeformableEncoderLayer:
    sizes = LayerSizes(dim=16, num_heads=2, num_levels=2, num_points=2, feedforward_dim=16)
    layer = DeformableEncoderLayer(sizes)
    for parameter in layer.attention.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return layer


def layer_inputs(height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Memory]:
    shapes = ((height, width), (height // 2, width // 2))
    tokens = sum(h * w for h, w in shapes)
    x, position = torch.randn(2, tokens, 16, requires_grad=True), torch.randn(2, tokens, 16)
    padding = torch.zeros(2, tokens, dtype=torch.bool)
    return x, position, torch.rand(2, tokens, 2, 2), Memory(x, padding, shapes, torch.ones(2, 2, 2))


@pytest.mark.parametrize("dynamic", [None, True])
def test_four_image_sizes_compile_an_encoder_layer_twice(layer, dynamic):
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, backend=counter, dynamic=dynamic)
    for size in [(6, 8), (8, 10), (10, 6), (12, 14)]:
        inputs = layer_inputs(*size)
        compiled_out, out = compiled(*inputs), layer(*inputs)
        torch.testing.assert_close(compiled_out, out)
        leaves = [inputs[0], *layer.parameters()]
        gradients = torch.autograd.grad(compiled_out.square().sum(), leaves)
        expected = torch.autograd.grad(out.square().sum(), leaves)
        torch.testing.assert_close(gradients, expected)
    assert counter.frame_count <= 2


def test_export(layer):
    x, position, reference, memory = layer_inputs(6, 8)
    inputs = (x + position, reference, x, memory.shapes, memory.padding)
    program = torch.export.export(layer.attention, inputs)
    torch.testing.assert_close(program.module()(*inputs), layer.attention(*inputs))


def test_a_layer_attends_for_no_query(layer):
    *_, memory = layer_inputs(6, 8)
    none, nowhere = torch.zeros(2, 0, 16), torch.zeros(2, 0, 2, 2)
    out = layer.attention(none, nowhere, memory.tokens, memory.shapes, memory.padding)
    assert out.shape == (2, 0, 16)
