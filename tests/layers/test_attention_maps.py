"""Attention maps: one softmax over heads and cells."""

import torch

from hdetr_d2.layers import AttentionMaps


def test_by_hand():
    maps = AttentionMaps(dim=2, num_heads=2)
    for layer in (maps.query, maps.key):
        torch.nn.init.eye_(layer.weight)
    states, tokens = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[0.0, 1.0], [3.0, -1.0]]])
    weights = maps(states, tokens, torch.zeros(1, 2, dtype=torch.bool))
    # A head has one channel: the products of head 0 are 0 and 3, those of head 1 are 2 and -2.
    expected = torch.tensor([0.0, 3.0, 2.0, -2.0]).softmax(0).view(1, 1, 2, 2)
    torch.testing.assert_close(weights, expected)


def test_padded_cells_are_not_seen():
    maps = AttentionMaps(dim=8, num_heads=2)
    states, tokens = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    padding = torch.zeros(2, 5, dtype=torch.bool)
    padding[0, 3:] = True
    weights = maps(states, tokens, padding)
    assert not weights[0, :, :, 3:].any()
    torch.testing.assert_close(weights.sum((2, 3)), torch.ones(2, 3))
    torch.testing.assert_close(
        weights[:1, :, :, :3], maps(states[:1], tokens[:1, :3], padding[:1, :3])
    )
