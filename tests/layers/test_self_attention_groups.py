"""Attention within groups is attention under a mask, at the cost of what the mask leaves."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.layers import Layout, QueryState, SelfAttention, Span, attend_within_groups

BLIND = [
    [Span(1, 5)],
    [Span(1, 5), Span(1, 9)],
    [Span(1, 4), Span(3, 5)],
    [Span(2, 3), Span(1, 0), Span(4, 1)],
]
SEEING = [
    [Span(1, 4), Span(3, 2, sees=(0,))],
    [Span(1, 4), Span(2, 3), Span(3, 2, sees=(0, 1))],
    [Span(2, 1, sees=(1,)), Span(1, 3), Span(1, 0, sees=(1,))],
]
UNBIASED = Layout([Span(1, 5), Span(1, 4)])


def total(groups: Sequence[Span]) -> int:
    return sum(span.blocks * span.size for span in groups)


def mask_of(groups: Sequence[Span]) -> Tensor:
    """`Tensor[Q, Q]` bool: who sees whom."""
    members = [(place, block) for place, g in enumerate(groups) for block in range(g.blocks)]
    rows = [member for member in members for _ in range(groups[member[0]].size)]
    sees = [[a == b or b[0] in groups[a[0]].sees for b in rows] for a in rows]
    return torch.tensor(sees)


@pytest.mark.parametrize("groups", BLIND + SEEING)
def test_it_is_attention_under_a_mask(groups: Sequence[Span]) -> None:
    inputs = [torch.randn(2, total(groups), 3, 4, requires_grad=True) for _ in range(3)]
    found = attend_within_groups(*inputs, Layout(groups))
    masked = F.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in inputs), attn_mask=mask_of(groups)
    ).transpose(1, 2)
    torch.testing.assert_close(found, masked, rtol=0, atol=1e-6)
    weight = torch.randn_like(found)
    gradients = (torch.autograd.grad((out * weight).sum(), inputs) for out in (found, masked))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_dropout_takes_the_only_key_of_a_head_whole() -> None:
    value = torch.ones(2, 50, 3, 4)
    found = attend_within_groups(value, value, value, Layout([Span(50, 1)]), dropout=0.25)
    assert torch.equal(found, found[..., :1].expand_as(found))
    assert found.unique().tolist() == pytest.approx([0, 4 / 3])


def test_a_bias_is_added_to_the_scores_of_its_group_in_all_heads() -> None:
    attention = SelfAttention(dim=12, num_heads=3)
    x, position = torch.randn(2, 2, 9, 12)
    bias = torch.randn(2, 4, 4, requires_grad=True)
    reference = torch.rand(2, 9, 4)
    asked = []

    def remember(layer: int, queries: QueryState, keys: QueryState) -> Tensor:
        asked.extend((layer, *queries))
        assert keys is queries
        return bias

    groups = [Span(1, 5), Span(1, 4, bias=remember)]
    found = attention(x, position, Layout(groups, 3, reference))
    layer, *rows, logits, boxes = asked
    assert layer == 3 and logits is None and boxes == ()
    for row, whole in zip(rows, (x, position, reference), strict=True):
        assert torch.equal(row, whole[:, 5:])
    query, key, value = attention.project((x + position, 2), (x, 1))
    q, k, v = (part[:, 5:].transpose(1, 2) for part in (query, key, value))
    weights = (q @ k.transpose(2, 3) / 2 + bias[:, None]).softmax(-1)  # of 4 channels in a head
    by_hand = attention.out_proj((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(found[:, 5:], by_hand, rtol=0, atol=1e-6)
    assert torch.equal(found[:, :5], attention(x, position, UNBIASED)[:, :5])
    gradients = (torch.autograd.grad(out.square().sum(), bias)[0] for out in (found, by_hand))
    torch.testing.assert_close(*gradients)


def test_a_group_may_have_no_bias_in_this_layer() -> None:
    attention = SelfAttention(dim=12, num_heads=3)
    x, position = torch.randn(2, 2, 9, 12)
    groups = [Span(1, 5), Span(1, 4, bias=lambda *inputs: None)]
    asked = attention(x, position, Layout(groups))
    assert torch.equal(asked, attention(x, position, UNBIASED))


@pytest.mark.parametrize("groups", BLIND)
def test_the_layer_is_each_block_by_itself(groups: Sequence[Span]) -> None:
    attention = SelfAttention(dim=12, num_heads=3)
    x, position = torch.randn(2, 2, total(groups), 12)
    sizes = [span.size for span in groups for _ in range(span.blocks)]
    blocks = zip(x.split(sizes, 1), position.split(sizes, 1), strict=True)
    alone = torch.cat([attention(*block) for block in blocks], 1)
    torch.testing.assert_close(attention(x, position, Layout(groups)), alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("groups", "pairs"),
    [
        ([Span(1, 300), Span(1, 1500)], 300**2 + 1500**2),
        ([Span(1, 300), Span(10, 300)], 11 * 300**2),
        ([Span(1, 300), Span(4, 10, sees=(0,))], 300**2 + 40 * 340),
    ],
)
def test_the_cost_is_that_of_the_pairs_that_see_each_other(
    counted_operations, groups: Sequence[Span], pairs: int
) -> None:
    inputs = [torch.empty(1, total(groups), 8, 32, device="meta") for _ in range(3)]
    with counted_operations() as counter:
        attend_within_groups(*inputs, Layout(groups))
    # Two products, a multiplication and an addition in each, over 8 heads of 32 channels.
    assert counter.get_total_flops() == 2 * 2 * 8 * 32 * pairs


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["ours", "PyTorch's"])
def test_all_of_an_attention_layer_is_counted(
    counted_operations, kind: str, training: bool, gradient: bool
) -> None:
    """2 images of 7 queries, 16 channels in 2 heads. Projections: 4 of 16 x 16 for 14 queries, of a
    multiplication and an addition each. Attention: two products of 7 x 7 x 8 for 4 heads.
    """
    x = torch.randn(2, 7, 16)
    if kind == "ours":
        layer: nn.Module = SelfAttention(dim=16, num_heads=2)
        inputs = (x, torch.zeros_like(x))
    else:
        layer, inputs = nn.MultiheadAttention(16, 2, batch_first=True), (x, x, x)
    layer.train(training)
    with counted_operations() as counter, torch.set_grad_enabled(gradient):
        layer(*inputs)
    assert counter.get_total_flops() == 2 * 4 * 14 * 16 * 16 + 2 * 2 * 4 * 7 * 7 * 8


@pytest.mark.parametrize("sees", [(), (0,)])
@pytest.mark.parametrize(("blocks", "size"), [(1, 4), (2, 2), (4, 1)])
def test_tokens_stand_beside_the_queries_of_each_block_and_are_cut_again(
    blocks: int, size: int, sees: tuple[int, ...]
) -> None:
    """As the published code of such tokens has it: they ask, too."""
    attention = SelfAttention(dim=12, num_heads=3)
    x, position = torch.randn(2, 2, 7, 12)
    content, place = torch.randn(2, 5, 12, requires_grad=True)
    asked = []

    def tokens(layer: int) -> tuple[Tensor, Tensor]:
        asked.append(layer)
        return content, place

    spans = [Span(1, 3), Span(blocks, size, sees=sees, tokens=tokens)]
    found = attention(x, position, Layout(spans, layer=2))
    assert asked == [2]
    assert torch.equal(
        found[:, :3], attention(x, position, Layout([Span(1, 3), Span(1, 4)]))[:, :3]
    )
    with_tokens = (
        torch.cat([row[:, :3], token.expand(2, -1, -1), row[:, 3:]], 1)
        for row, token in ((x, content), (position, place))
    )
    members = [-1] * 3 + [-2] * 5 + [block for block in range(blocks) for _ in range(size)]
    mask = torch.tensor(
        [[a == b or b == -2 or (b == -1 and bool(sees)) for b in members] for a in members]
    )
    row, where = with_tokens
    q, k, v = (part.transpose(1, 2) for part in attention.project((row + where, 2), (row, 1)))
    out = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)
    expected = attention.out_proj(out)[:, 8:]
    torch.testing.assert_close(found[:, 3:], expected, rtol=0, atol=1e-6)
    gradients = (torch.autograd.grad(o.square().sum(), [content, place]) for o in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_tokens_have_no_bias() -> None:
    attention = SelfAttention(dim=12, num_heads=3)
    x, position = torch.randn(2, 2, 4, 12)
    tokens, bias = torch.randn(2, 5, 12), torch.randn(2, 4, 4)
    span = Span(1, 4, bias=lambda *asked: bias, tokens=lambda layer: (tokens[0], tokens[1]))
    row, where = (
        torch.cat([part, token.expand(2, -1, -1)], 1)
        for part, token in zip((x, position), tokens, strict=True)
    )
    whole = Span(1, 9, bias=lambda *asked: F.pad(bias, (0, 5, 0, 5)))
    expected = attention(row, where, Layout([whole]))[:, :4]
    torch.testing.assert_close(attention(x, position, Layout([span])), expected)
