"""The router alone, and the attention that it biases, against recorded outputs of the released
code.
"""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from numpy.random import RandomState

from hdetr_d2.layers import Layout, QueryState, SelfAttention, Span

sys.path.insert(0, str(Path(__file__).parent))
from recorded import gradient_norms, load, part, renamed_layer

from hdetr_d2.projects.route_detr.importer_names import rename

ROUTING = Path(__file__).parents[1] / "configs" / "common" / "routing.py"
CASES = ["nopos", "pos", "first", "clamp", "flip"]
STRENGTHS = [0.0, 0.5, 1.0]


@pytest.fixture(scope="module")
def case():
    return load("route_router")


def one_layer():
    """The released preset for a decoder of one layer."""
    node = LazyConfig.load(str(ROUTING)).released_code
    node.merge_with(dict(num_layers=1, last=1))
    node.sizes.dim = 256
    node.strength.epochs = node.weight.epochs = 1
    return instantiate(node)


@pytest.fixture
def scheme(case, request):
    scheme = one_layer()
    weights = part(renamed_layer(case), "schemes.0.")
    if request.node.callspec.params.get("name") == "flip":
        weights["routers.0.gate.columns.weight"] = -weights["routers.0.gate.columns.weight"]
    scheme.load_state_dict(weights)
    return scheme


@pytest.fixture
def attention(case):
    attention = SelfAttention(dim=256, num_heads=8)
    attention.load_state_dict(
        part(renamed_layer(case), "decoder.layers.0.self_attention."), strict=True
    )
    return attention


def inputs(case, name):
    """Content, position, reference and logits of a case."""
    query, logits, boxes, position = (
        torch.from_numpy(case.arrays[f"in_{each}"]) for each in ("query", "logits", "boxes", "pos")
    )
    position = position if name in ("pos", "first", "flip") else torch.zeros_like(position)
    query = 12 * query if name == "clamp" else query
    return query, position, boxes, None if name == "first" else logits


@pytest.mark.parametrize("name", CASES)
def test_descriptor_gate_and_bias(case, scheme, name):
    expected = part({k: torch.from_numpy(v) for k, v in case.arrays.items()}, f"{name}.")
    descriptor = scheme.descriptor(*inputs(case, name))
    for place, feature in enumerate(("similarity", "confidence", "geometry")):
        torch.testing.assert_close(descriptor[..., place], expected[feature], rtol=0, atol=1e-5)
    routing = scheme.route(0, QueryState(*inputs(case, name)))
    torch.testing.assert_close(routing.gate, expected["p_sup"], rtol=0, atol=1e-5)
    torch.testing.assert_close(routing.bias, expected["bias"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", CASES)
def test_the_attention(case, scheme, attention, name, strength):
    content, position, reference, logits = inputs(case, name)
    bias = partial(scheme.bias, strength)
    spans = [Span(1, content.shape[1], bias=bias)]
    found = attention(content, position, Layout(spans, 0, reference, logits))
    expected = torch.from_numpy(case.arrays[f"{name}.attn_lam{strength}"])
    # With inputs 12 times as large the outputs are, too.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-3 if name == "clamp" else 1e-4)


@pytest.mark.parametrize("name", ["pos"])  # the fixture asks for it
def test_the_gradients(case, scheme, attention, name):
    recorded = case.grad_pos_lam1
    content, position, reference, logits = inputs(case, name)
    content.requires_grad_()
    bias = partial(scheme.bias, 1.0)
    spans = [Span(1, content.shape[1], bias=bias)]
    found = attention(content, position, Layout(spans, 0, reference, logits))
    cotangent = torch.from_numpy(RandomState(43).standard_normal(found.shape)).float()
    (found * cotangent).sum().backward()
    expected = torch.from_numpy(case.arrays["grad_query_pos_lam1"])
    torch.testing.assert_close(content.grad, expected, rtol=1e-4, atol=1e-4)
    norms = {f"schemes.0.{name}": norm for name, norm in gradient_norms(scheme).items()}
    for name, norm in gradient_norms(attention).items():
        norms[f"decoder.layers.0.self_attention.{name}"] = norm
    for name, norm in recorded["norms"].items():
        ours = rename(f"transformer.decoder.layers.0.{name}", 1)
        assert norms[ours] == pytest.approx(norm, rel=1e-4), name
