"""The focal loss by hand, against a loop over its definition, and at its limits."""

import math

import pytest
import torch
from torch import Tensor

from hdetr_d2.losses import FocalLoss
from hdetr_d2.ops import FocalCost
from hdetr_d2.structures import BACKGROUND, NO_LOSS


def focal_of_one(logit: float, present: bool, alpha: float, gamma: float) -> float:
    """The definition, for one logit: -alpha_t (1 - p_t)^gamma log p_t."""
    probability = 1 / (1 + math.exp(-logit))
    p_t = probability if present else 1 - probability
    alpha_t = alpha if present else 1 - alpha
    return -alpha_t * (1 - p_t) ** gamma * math.log(p_t)


def focal_by_loops(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> list[float]:
    """The loss of each layer, one logit after the other."""
    sums = []
    for layer_logits, layer_labels in zip(logits.flatten(1, 2), labels.flatten(1), strict=True):
        total = 0.0
        for row, label in zip(layer_logits.tolist(), layer_labels.tolist(), strict=True):
            if label != NO_LOSS:
                total += sum(focal_of_one(x, k == label, alpha, gamma) for k, x in enumerate(row))
        sums.append(total)
    return sums


def test_loss_by_hand():
    # p = 1/2 everywhere: a positive is 1/4 * 1/4 * ln 2, a negative 3/4 * 1/4 * ln 2.
    loss = FocalLoss()(torch.zeros(1, 1, 2, 3), torch.tensor([[[1, BACKGROUND]]]))
    assert loss.tolist() == pytest.approx([(1 / 16 + 5 * 3 / 16) * math.log(2)])


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 1.5), (0.5, 0.0)])
def test_loss_against_loops(alpha: float, gamma: float):
    focal = FocalLoss(alpha=alpha, gamma=gamma)
    logits = 3 * torch.randn(2, 3, 5, 4)
    labels = torch.randint(NO_LOSS, 4, (2, 3, 5))
    expected = focal_by_loops(logits, labels, alpha, gamma)
    assert focal(logits, labels).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_matching_cost_has_the_numbers_of_the_loss():
    assert FocalLoss(alpha=0.6, gamma=1.5).matching_cost == FocalCost(alpha=0.6, gamma=1.5)


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_extreme_logits_have_finite_losses_and_gradients(logit: float):
    logits = torch.full((1, 1, 2, 2), logit, requires_grad=True)
    loss = FocalLoss()(logits, torch.tensor([[[0, BACKGROUND]]]))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()


def test_extreme_losses_are_linear():
    # log p of a hopeless positive is its logit, not the logarithm of a number rounded to 0.
    loss = FocalLoss()(torch.tensor([[[[-200.0]]]]), torch.tensor([[[0]]]))
    assert loss.item() == pytest.approx(0.25 * 200)


def test_padding_has_no_loss_whatever_it_predicts():
    logits = torch.tensor([[[[1.0], [math.nan], [math.inf]]]])
    labels = torch.tensor([[[0, NO_LOSS, NO_LOSS]]])
    loss = FocalLoss()(logits, labels)
    assert loss.item() == pytest.approx(focal_of_one(1.0, True, 0.25, 2.0), rel=1e-5)


@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 3, 0), (1, 0, 0)])
def test_nothing_to_learn(shape: tuple[int, int, int]):
    logits = torch.zeros(*shape, 4, requires_grad=True)
    loss = FocalLoss()(logits, torch.zeros(shape, dtype=torch.int64))
    assert loss.tolist() == [0.0] * shape[0]
    loss.sum().backward()


def test_gradients():
    logits = torch.randn(2, 1, 3, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[[0, BACKGROUND, NO_LOSS]], [[1, 1, BACKGROUND]]])

    assert torch.autograd.gradcheck(lambda each: FocalLoss()(each, labels), logits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_are_summed_in_float32(dtype: torch.dtype):
    logits = torch.randn(1, 2, 300, 80).to(dtype)
    labels = torch.randint(BACKGROUND, 80, (1, 2, 300))
    loss = FocalLoss()(logits, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, FocalLoss()(logits.float(), labels))


def test_a_new_head_scores_everything_at_the_prior():
    focal = FocalLoss(prior=0.02)
    bias = torch.empty(focal.num_outputs(7))
    focal.init_bias(bias)
    assert focal.scores(bias).tolist() == pytest.approx([0.02] * 7)
    FocalLoss().init_bias(bias)
    assert bias.tolist() == pytest.approx([-math.log(99)] * 7)
