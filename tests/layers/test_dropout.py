"""Dropout within the layers."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hdetr_d2.layers import DenseAttention, Dropout, FeedForward, PostNorm
from hdetr_d2.layers.attention import attend
from hdetr_d2.ops import dropout
from hdetr_d2.ops.extension import why_no_kernel

NO_KERNEL = why_no_kernel("dropout", torch.device("cpu"))


def test_the_module_drops_in_training_alone() -> None:
    module, x = Dropout(0.5), torch.ones(1000)
    assert isinstance(module, nn.Dropout)
    assert module(x).unique().tolist() == [0.0, 2.0]
    assert module.eval()(x) is x
    assert Dropout(0.0)(x) is x


def kept_bytes(function, *inputs: Tensor) -> int:
    """Of all storages that the backward needs, but the inputs'."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function(*inputs)
    known = {each.untyped_storage().data_ptr() for each in inputs}
    return sum(size for place, size in storages.items() if place not in known)


@pytest.mark.skipif(bool(NO_KERNEL), reason="PyTorch's dropout keeps what it drops")
def test_a_feed_forward_keeps_one_tensor_of_its_hidden_width() -> None:
    layer = FeedForward(dim=8, hidden_dim=512, residual=PostNorm(0.1))
    parameters = sum(each.numel() * each.element_size() for each in layer.parameters())
    kept = kept_bytes(layer, torch.randn(3, 100, 8, requires_grad=True))
    hidden = 3 * 100 * 512 * 4
    assert hidden < kept < hidden + parameters + 6 * 3 * 100 * 8 * 4


def test_a_feed_forward_keeps_nothing_of_its_hidden_width_where_it_recomputes() -> None:
    layer = FeedForward(dim=8, hidden_dim=512, residual=PostNorm(0.1), checkpointing=True)
    kept = kept_bytes(layer, torch.randn(3, 100, 8, requires_grad=True))
    assert kept < 3 * 100 * 512 * 4 / 4


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_recomputing_the_hidden_channels_changes_no_number(p: float) -> None:
    x = torch.randn(3, 8, requires_grad=True)

    def step(checkpointing: bool) -> list[Tensor]:
        layer = FeedForward(dim=8, hidden_dim=16, residual=PostNorm(p), checkpointing=checkpointing)
        layer.load_state_dict(weights)
        torch.manual_seed(2)
        out = layer(x)
        return [out, *torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])]

    weights = FeedForward(dim=8, hidden_dim=16).state_dict()
    for found, expected in zip(step(True), step(False), strict=True):
        assert torch.equal(found, expected)


def test_a_feed_forward_drops_what_relu_leaves() -> None:
    layer = FeedForward(dim=8, hidden_dim=16, residual=PostNorm(0.5))
    x = torch.randn(3, 8)
    torch.manual_seed(2)
    found = layer(x)
    torch.manual_seed(2)
    hidden = dropout(layer.linear1(x).relu(), 0.5)
    torch.testing.assert_close(found, layer.norm(x + dropout(layer.linear2(hidden), 0.5)))


def draw_attention() -> tuple[Tensor, Tensor, Tensor]:
    query = torch.randn(2, 5, 3, 4)
    return query, torch.randn(2, 7, 3, 4), torch.randn(2, 7, 3, 4)


MASKS = {
    "none": None,
    "bool": torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(0)) < 0.6,
    "added": torch.randn(2, 1, 5, 7, generator=torch.Generator().manual_seed(1)),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_attention_drops_its_weights(mask: Tensor | None) -> None:
    query, key, value = draw_attention()
    torch.manual_seed(3)
    found = attend(query, key, value, mask, 0.5)
    scores = torch.einsum("bqhd,bnhd->bhqn", query, key) / math.sqrt(4)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    torch.manual_seed(3)
    weights = dropout(scores.softmax(-1), 0.5)
    torch.testing.assert_close(found, torch.einsum("bhqn,bnhd->bqhd", weights, value))


@pytest.mark.parametrize("added", [False, True])
def test_a_query_that_sees_nothing_finds_nothing(added: bool) -> None:
    query, key, value = (each.requires_grad_() for each in draw_attention())
    mask = torch.ones(2, 1, 5, 7, dtype=torch.bool)
    mask[0, 0, 2] = False
    given = torch.where(mask, 0.0, -math.inf) if added else mask
    for p in (0.0, 0.3):
        found = attend(query, key, value, given, p)
        assert not found[0, 2].any()
        gradients = torch.autograd.grad(found.square().sum(), (query, key, value))
        assert all(each.isfinite().all() for each in gradients)
        assert not gradients[0][0, 2].any()


def test_on_average_dropped_attention_is_attention() -> None:
    attention = DenseAttention(dim=8, num_heads=2, dropout=0.2)
    query, tokens = torch.randn(1, 3, 8), torch.randn(1, 6, 8)
    padding = torch.tensor([[False] * 4 + [True] * 2])
    many = (each.expand(20_000, -1, -1) for each in (query, tokens, tokens))
    with torch.no_grad():
        found = attention(*many, padding.expand(20_000, -1)).mean(0, keepdim=True)
        exact = attention.eval()(query, tokens, tokens, padding)
    torch.testing.assert_close(found, exact, rtol=0.0, atol=0.02)


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_is_computed_again_drops_the_same(reentrant: bool) -> None:
    layer = FeedForward(dim=8, hidden_dim=16, residual=PostNorm(0.5))
    x = torch.randn(30, 8, requires_grad=True)
    torch.manual_seed(5)
    expected = torch.autograd.grad(layer(x).square().sum(), [x, layer.linear1.weight])
    torch.manual_seed(5)
    checkpoint(layer, x, use_reentrant=reentrant).square().sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, expected[0])
    assert torch.equal(layer.linear1.weight.grad, expected[1])
