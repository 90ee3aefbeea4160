import math

import pytest
import torch
from torch import nn

from hdetr_d2.layers import (
    MLP,
    DeformableAttention,
    DenseAttention,
    FeedForward,
    Linear,
    PreNorm,
    SelfAttention,
)


def pytorchs(ours: nn.Module) -> nn.MultiheadAttention:
    """PyTorch's attention with the weights of ours, which are drawn anew."""
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randn_like(parameter))
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.in_proj.weight,
            "in_proj_bias": ours.in_proj.bias,
            "out_proj.weight": ours.out_proj.weight,
            "out_proj.bias": ours.out_proj.bias,
        }
    )
    return theirs


def test_self_attention_is_multi_head_attention_with_positions_on_queries_and_keys():
    ours = SelfAttention(dim=12, num_heads=3).eval()
    theirs = pytorchs(ours)
    x, position = torch.randn(2, 5, 12), torch.randn(2, 5, 12)
    expected = theirs(x + position, x + position, x, need_weights=False)[0]
    torch.testing.assert_close(ours(x, position), expected)


def test_dense_attention_is_multi_head_attention_with_padding():
    ours = DenseAttention(dim=12, num_heads=3).eval()
    theirs = pytorchs(ours)
    query, key, value = torch.randn(2, 5, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[1, 4:] = True
    expected = theirs(query, key, value, key_padding_mask=padding, need_weights=False)[0]
    torch.testing.assert_close(ours(query, key, value, padding), expected)


def test_self_attention_starts_as_pytorchs_does():
    attention = SelfAttention(dim=16, num_heads=2)
    # Xavier on the one matrix of 16 to 48, and on 16 to 16.
    assert attention.in_proj.weight.abs().max() <= math.sqrt(6 / 64)
    assert attention.out_proj.weight.abs().max() <= math.sqrt(6 / 32)
    assert not attention.in_proj.bias.any()
    assert not attention.out_proj.bias.any()


def test_self_attention_drops_in_training_only():
    attention = SelfAttention(dim=8, num_heads=2, dropout=0.5)
    x = torch.randn(1, 30, 8)
    assert not torch.equal(attention(x, x), attention(x, x))
    attention.eval()
    assert torch.equal(attention(x, x), attention(x, x))


def test_self_attention_of_no_queries():
    empty = torch.zeros(2, 0, 8)
    assert SelfAttention(dim=8, num_heads=2)(empty, empty).shape == (2, 0, 8)


def test_mlp():
    mlp = MLP(2, 5, 3, num_layers=3)
    assert [tuple(layer.weight.shape) for layer in mlp if isinstance(layer, nn.Linear)] == [
        (5, 2),
        (5, 5),
        (3, 5),
    ]
    assert [type(layer) for layer in mlp] == [Linear, nn.ReLU, Linear, nn.ReLU, Linear]
    assert [type(layer) for layer in MLP(2, 5, 3, num_layers=1)] == [Linear]


def test_feed_forward_is_a_residual_before_its_norm():
    layer = FeedForward(dim=4, hidden_dim=8).eval()
    nn.init.zeros_(layer.linear2.weight)
    nn.init.zeros_(layer.linear2.bias)
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    # Mean 2.5 and variance 1.25.
    expected = [(value - 2.5) / math.sqrt(1.25 + 1e-5) for value in (1, 2, 3, 4)]
    assert layer(x)[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_pre_norm_is_inside_the_residual():
    layer = FeedForward(dim=4, hidden_dim=8, residual=PreNorm()).eval()
    x = 3 * torch.randn(2, 4) + 5
    hidden = torch.relu(layer.linear1(nn.functional.layer_norm(x, (4,))))
    torch.testing.assert_close(layer(x), x + layer.linear2(hidden))


@pytest.mark.parametrize("make", [DenseAttention, SelfAttention])
def test_a_branch_drops_in_training_only(make):
    attention = make(dim=8, num_heads=2, dropout=0.5)
    assert attention.active_dropout == 0.5
    assert attention.eval().active_dropout == 0.0


def make_attention(**arguments: int) -> DeformableAttention:
    return DeformableAttention(
        **{"dim": 8, "num_heads": 4, "num_levels": 2, "num_points": 3, **arguments}
    )


def test_deformable_attention_looks_around_at_first():
    attention = make_attention()
    bias = attention.sampling_offsets.bias.view(4, 2, 3, 2)
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    distances = torch.tensor([1.0, 2.0, 3.0])
    expected = directions[:, None, None] * distances[:, None]
    torch.testing.assert_close(bias, expected.expand(4, 2, 3, 2), atol=1e-6, rtol=0)
    diagonal = make_attention(dim=8, num_heads=8).sampling_offsets.bias.view(8, 2, 3, 2)[1, 0, 0]
    assert diagonal.tolist() == pytest.approx([1.0, 1.0])  # onto the square, not the circle
    for layer in (attention.sampling_offsets, attention.attention_weights):
        assert not layer.weight.any()
    assert not attention.attention_weights.bias.any()


def test_deformable_attention_samples_where_the_formula_says():
    attention = make_attention(num_levels=2, num_points=2)
    query, shapes = torch.randn(1, 3, 8), [(4, 6), (2, 3)]
    nn.init.normal_(attention.sampling_offsets.weight)
    offsets = attention.sampling_offsets(query).view(1, 3, 4, 2, 2, 2)
    points, boxes = torch.rand(1, 3, 2, 2), torch.rand(1, 3, 2, 4)
    at_points, at_boxes = (
        attention.samples(query, reference, shapes)[0] for reference in (points, boxes)
    )
    for query, head, level, point in torch.cartesian_prod(*map(torch.arange, (3, 4, 2, 2))):
        height, width = shapes[level]
        offset = offsets[0, query, head, level, point]
        wanted = points[0, query, level] + offset / torch.tensor([width, height])
        torch.testing.assert_close(at_points[0, query, head, level, point], wanted)
        box = boxes[0, query, level]
        wanted = box[:2] + offset / 2 * box[2:] * 0.5
        torch.testing.assert_close(at_boxes[0, query, head, level, point], wanted)


def test_deformable_attention_of_a_constant_map_is_the_constant():
    attention = make_attention(num_levels=1, num_points=1)
    nn.init.zeros_(attention.sampling_offsets.bias)
    tokens = torch.randn(1, 1, 8).expand(1, 30, 8)
    reference = torch.full((1, 2, 1, 2), 0.5)
    padding = torch.zeros(1, 30, dtype=torch.bool)
    out = attention(torch.randn(1, 2, 8), reference, tokens, [(5, 6)], padding)
    expected = attention.output_proj(attention.value_proj(tokens[:, :1]))
    torch.testing.assert_close(out, expected.expand(1, 2, 8))


def test_padded_tokens_count_as_zeros():
    attention = make_attention(num_levels=1)
    query, reference = torch.randn(1, 2, 8), torch.rand(1, 2, 1, 2)
    tokens, padding = torch.randn(1, 12, 8), torch.zeros(1, 12, dtype=torch.bool)
    padding[0, 6:] = True
    changed = tokens.clone()
    changed[0, 6:] = 100.0
    plain = attention(query, reference, tokens, [(3, 4)], padding)
    assert torch.equal(plain, attention(query, reference, changed, [(3, 4)], padding))
    nothing = attention(query, reference, tokens, [(3, 4)], torch.ones_like(padding))
    torch.testing.assert_close(nothing, attention.output_proj.bias.expand(1, 2, 8))


@pytest.mark.parametrize("make", [make_attention, SelfAttention, DenseAttention])
def test_channels_must_divide_among_heads(make):
    with pytest.raises(ValueError, match="10 channels cannot be divided among 4"):
        make(dim=10, num_heads=4)
