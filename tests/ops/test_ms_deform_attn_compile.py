"""torch.compile of what contains multi-scale deformable attention, and export, with the kernels if
they are built and with their twin.
"""

import hdetr_d2  # noqa: F401

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from hdetr_d2.modeling.transformer.deformable_encoder import DeformableEncoderLayer
from hdetr_d2.modeling.transformer.sizes import LayerSizes
from hdetr_d2.ops import ms_deform_attn
from hdetr_d2.structures import Memory

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import differentiate, random_inputs

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def forget_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


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


def test_marked_sizes_compile_once():
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(ms_deform_attn, fullgraph=True, backend=counter)
    for queries in (5, 9, 12):
        value, shapes, locations, weights = random_inputs(queries=queries)
        for tensor in (locations, weights):
            torch._dynamo.mark_dynamic(tensor, 1)
        out = compiled(value, shapes, locations, weights)
        torch.testing.assert_close(out, ms_deform_attn(value, shapes, locations, weights))
    assert counter.frame_count == 1


def test_sizes_that_do_not_fit_are_told_by_a_compiled_graph_too():
    compiled = torch.compile(ms_deform_attn, fullgraph=True, backend="aot_eager", dynamic=True)
    value, _, locations, weights = random_inputs(shapes=((3, 4), (2, 2)))
    compiled(value, ((3, 4), (2, 2)), locations, weights)
    with pytest.raises(RuntimeError, match=r"18 cells together|split"):
        compiled(value, ((3, 4), (2, 3)), locations, weights)


def test_a_compiled_graph_under_autocast():
    compiled = torch.compile(ms_deform_attn, fullgraph=True, backend="aot_eager")
    inputs = random_inputs(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        answer, expected = differentiate(compiled, *inputs), differentiate(ms_deform_attn, *inputs)
    assert answer[0].dtype == torch.bfloat16
    torch.testing.assert_close(answer, expected)


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
