"""Where attention goes, against its definition."""

import pytest
import torch
from torch import nn

from hdetr_d2.analysis.attention import attended
from hdetr_d2.layers import DeformableAttention, DenseAttention

SHAPES = ((3, 4), (2, 2))


def deformable(heads: int = 1, points: int = 1, levels: int = 1) -> DeformableAttention:
    """Samples at its references, all with the same weight."""
    sizes = dict(num_heads=heads, num_levels=levels, num_points=points)
    attention = DeformableAttention(dim=heads, **sizes)
    nn.init.zeros_(attention.sampling_offsets.bias)
    return attention


def test_a_sample_belongs_to_the_cells_that_it_is_interpolated_from() -> None:
    inputs = (torch.zeros(1, 2, 1), torch.tensor([[[[0.125, 0.5]], [[0.5, 0.25]]]]))
    tokens, padding = torch.zeros(1, 8, 1), torch.zeros(1, 8, dtype=torch.bool)
    part = torch.tensor([[1.0, 3.0]])
    found = attended(deformable(), part, *inputs, tokens, ((2, 4),), padding)
    # The first is between the rows of column 0, the second between columns 1 and 2 of row 0.
    expected = torch.tensor([[0.5, 1.5, 1.5, 0, 0.5, 0, 0, 0]])
    torch.testing.assert_close(found, expected)
    padding[0, :2] = True
    found = attended(deformable(), part, *inputs, tokens, ((2, 4),), padding)
    torch.testing.assert_close(found, expected.masked_fill(padding, 0))


def test_deformable_attention_is_what_the_values_are_multiplied_with() -> None:
    attention = deformable(points=3, levels=2)
    with torch.no_grad():
        for layer in (attention.sampling_offsets, attention.attention_weights):
            nn.init.normal_(layer.weight)
        for layer in (attention.value_proj, attention.output_proj):
            nn.init.ones_(layer.weight)
    query, reference = torch.randn(2, 5, 1), torch.rand(2, 5, 2, 4)
    tokens, padding = torch.randn(2, 16, 1), torch.rand(2, 16) > 0.7
    found = attended(attention, torch.ones(2, 5), query, reference, tokens, SHAPES, padding)
    out = attention(query, reference, tokens, SHAPES, padding)
    torch.testing.assert_close((found * tokens[..., 0]).sum(1), out.sum((1, 2)))
    assert not found.requires_grad or found.grad_fn is None


def test_all_heads_are_summed() -> None:
    reference = torch.tensor([[[[0.5, 0.5]]]])
    tokens, padding = torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.bool)
    inputs = (torch.zeros(1, 1, 4), reference, tokens, ((1, 1),), padding)
    assert attended(deformable(heads=4), torch.ones(1, 1), *inputs).tolist() == [[4]]


def test_dense_attention_as_pytorch_gives_it() -> None:
    ours, theirs = (
        DenseAttention(dim=12, num_heads=3),
        nn.MultiheadAttention(12, 3, batch_first=True),
    )
    names = {"in_proj_weight": "in_proj.weight", "in_proj_bias": "in_proj.bias"}
    weights = theirs.state_dict()
    ours.load_state_dict({names.get(name, name): value for name, value in weights.items()})
    query, tokens = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[1, 4:] = True
    part = torch.rand(2, 5)
    found = attended(ours, part, query, tokens, tokens, padding)
    options = dict(key_padding_mask=padding, average_attn_weights=False)
    _, expected = theirs(query, tokens, tokens, **options)
    torch.testing.assert_close(found, (expected * part[:, None, :, None]).sum((1, 2)))


def test_another_attention_is_refused() -> None:
    with pytest.raises(TypeError, match="where Linear looks"):
        attended(nn.Linear(1, 1), torch.ones(1, 1))
