"""The class costs by hand, and against loops over their definitions."""

import math

import pytest
import torch

from hdetr_d2.ops import FocalCost, SoftmaxCost


def focal_of_one(logit: float, present: bool, alpha: float, gamma: float) -> float:
    """The definition, for one logit: -alpha_t (1 - p_t)^gamma log p_t."""
    probability = 1 / (1 + math.exp(-logit))
    p_t = probability if present else 1 - probability
    alpha_t = alpha if present else 1 - alpha
    return -alpha_t * (1 - p_t) ** gamma * math.log(p_t)


def test_focal_by_hand():
    # The loss as a positive minus the loss as a negative: (1/16 - 3/16) ln 2.
    cost = FocalCost()(torch.zeros(2, 4, 3), torch.tensor([[2, 0, 1]] * 2))
    assert cost.shape == (2, 3, 4)
    torch.testing.assert_close(cost, torch.full_like(cost, -math.log(2) / 8))


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 1.5), (0.5, 0.0)])
def test_focal_against_loops(alpha: float, gamma: float):
    logits, labels = 3 * torch.randn(3, 5, 4), torch.randint(0, 4, (3, 2))
    cost = FocalCost(alpha, gamma)(logits, labels)
    for problem, target, query in torch.cartesian_prod(*map(torch.arange, cost.shape)):
        logit = logits[problem, query, labels[problem, target]].item()
        wanted = focal_of_one(logit, True, alpha, gamma) - focal_of_one(logit, False, alpha, gamma)
        assert cost[problem, target, query].item() == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_softmax_by_hand():
    logits = torch.tensor([[[0.0, math.log(3)], [800.0, -800.0]]])
    cost = SoftmaxCost()(logits, torch.tensor([[0, 1, 1]]))
    expected = torch.tensor([[[-0.25, -1.0], [-0.75, 0.0], [-0.75, 0.0]]])
    torch.testing.assert_close(cost, expected)


@pytest.mark.parametrize("cost", [FocalCost(), SoftmaxCost()])
def test_each_problem_has_its_own_labels(cost):
    logits = torch.zeros(2, 1, 2)
    logits[..., 1] = 5.0
    first, second = cost(logits, torch.tensor([[0], [1]])).flatten()
    assert first > second


@pytest.mark.parametrize("logit", [-200.0, 200.0])
@pytest.mark.parametrize("cost", [FocalCost(), SoftmaxCost()])
def test_extreme_logits_have_finite_costs(cost, logit: float):
    logits = torch.tensor([[[logit, 0.0]]])
    assert cost(logits, torch.tensor([[0, 1]])).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("cost", [FocalCost(), SoftmaxCost()])
def test_sixteen_bits_are_computed_in_float32(cost, dtype: torch.dtype):
    logits, labels = torch.randn(2, 5, 3).to(dtype), torch.tensor([[0, 2], [1, 1]])
    assert torch.equal(cost(logits, labels), cost(logits.float(), labels))


def test_costs_are_equal_where_their_numbers_are():
    assert FocalCost() == FocalCost(0.25, 2.0) != FocalCost(0.5)
    assert SoftmaxCost() == SoftmaxCost()


@pytest.mark.parametrize("gamma", [-1.0, math.nan])
def test_gamma_is_not_negative(gamma: float):
    with pytest.raises(ValueError, match="at least 0, not"):
        FocalCost(gamma=gamma)
