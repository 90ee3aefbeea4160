"""Attention within groups is attention under a mask, at the cost of what the mask leaves."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hdetr_d2.layers import Layout, SelfAttention, attend_within_groups

LAYOUTS = [[(1, 5)], [(1, 5), (1, 9)], [(1, 4), (3, 5)], [(2, 3), (1, 0), (4, 1)]]


def total(groups: Layout) -> int:
    return sum(blocks * size for blocks, size in groups)


def mask_of(groups: Layout) -> Tensor:
    """`Tensor[Q, Q]` bool: who sees whom."""
    return torch.block_diag(
        *(torch.ones(size, size) for blocks, size in groups for _ in range(blocks))
    ).bool()


@pytest.mark.parametrize("groups", LAYOUTS)
def test_it_is_attention_under_a_mask(groups: Layout) -> None:
    inputs = [torch.randn(2, total(groups), 3, 4, requires_grad=True) for _ in range(3)]
    found = attend_within_groups(*inputs, groups)
    masked = F.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in inputs), attn_mask=mask_of(groups)
    ).transpose(1, 2)
    torch.testing.assert_close(found, masked, rtol=0, atol=1e-6)
    weight = torch.randn_like(found)
    gradients = (torch.autograd.grad((out * weight).sum(), inputs) for out in (found, masked))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("groups", LAYOUTS)
def test_the_layer_is_each_block_by_itself(groups: Layout) -> None:
    attention = SelfAttention(dim=12, num_heads=3)
    x, position = torch.randn(2, 2, total(groups), 12)
    sizes = [size for blocks, size in groups for _ in range(blocks)]
    blocks = zip(x.split(sizes, 1), position.split(sizes, 1), strict=True)
    alone = torch.cat([attention(*block) for block in blocks], 1)
    torch.testing.assert_close(attention(x, position, groups), alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("groups", "pairs"),
    [([(1, 300), (1, 1500)], 300**2 + 1500**2), ([(1, 300), (10, 300)], 11 * 300**2)],
)
def test_the_cost_is_that_of_the_pairs_that_see_each_other(groups: Layout, pairs: int) -> None:
    inputs = [torch.empty(1, total(groups), 8, 32, device="meta") for _ in range(3)]
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        attend_within_groups(*inputs, groups)
    # Two products, a multiplication and an addition in each, over 8 heads of 32 channels.
    assert counter.get_total_flops() == 2 * 2 * 8 * 32 * pairs
