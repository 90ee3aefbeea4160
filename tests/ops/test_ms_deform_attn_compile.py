"""torch.compile of multi-scale deformable attention, with the kernels if they are built and with
their twin."""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from hdetr_d2.ops import ms_deform_attn

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import differentiate, random_inputs

pytestmark = [pytest.mark.usefixtures("forget_graphs"), pytest.mark.filterwarnings("ignore")]


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
