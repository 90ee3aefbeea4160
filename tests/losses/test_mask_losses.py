"""The losses of masks, by hand and against a loop over masks."""

import math

import pytest
import torch
import torch.nn.functional as F

from hdetr_d2.losses import MaskLoss

ONES = {"mask": 1.0, "dice": 1.0}


def by_loops(logits, masks, learned):
    """What the losses mean, mask by mask, on dense targets."""
    sums = {"loss_mask": torch.zeros(()), "loss_dice": torch.zeros(())}
    for image, mask in learned.nonzero().tolist():
        x, target = logits[image, mask], masks[image, mask].float()
        p = x.sigmoid()
        miss = torch.where(target > 0, 1 - p, p)
        alpha = torch.where(target > 0, 0.25, 0.75)
        entropy = F.binary_cross_entropy_with_logits(x, target, reduction="none")
        sums["loss_mask"] = sums["loss_mask"] + (alpha * miss**2 * entropy).mean()
        dice = (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)
        sums["loss_dice"] = sums["loss_dice"] + 1 - dice
    return sums


def test_by_hand():
    logits, masks = torch.zeros(1, 1, 1, 4), torch.tensor([[[[True, False, False, False]]]])
    losses = MaskLoss(weights=ONES)(logits, masks, torch.ones(1, 1, dtype=torch.bool))
    # All at p = 1/2: one pixel in the mask, three outside; the intersection is 1/2, the areas 2, 1.
    focal = (0.25 + 3 * 0.75) / 4 * math.log(2) / 4
    assert losses["loss_mask"].item() == pytest.approx(focal, rel=1e-5)
    assert losses["loss_dice"].item() == pytest.approx(1 - 2 / 4, rel=1e-5)


def test_against_loops():
    logits = torch.randn(2, 3, 5, 7, requires_grad=True)
    masks, learned = torch.rand(2, 3, 5, 7) > 0.5, torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()
    losses = MaskLoss(weights={"mask": 2.0, "dice": 3.0})(logits, masks, learned)
    expected = by_loops(logits, masks, learned)
    torch.testing.assert_close(losses["loss_mask"], 2 * expected["loss_mask"])
    torch.testing.assert_close(losses["loss_dice"], 3 * expected["loss_dice"])
    gradient = torch.autograd.grad(sum(losses.values()), logits)[0]
    weighted = 2 * expected["loss_mask"] + 3 * expected["loss_dice"]
    torch.testing.assert_close(gradient, torch.autograd.grad(weighted, logits)[0])


def test_what_is_not_learned_has_neither_loss_nor_gradient():
    logits = torch.randn(1, 2, 3, 3)
    logits[0, 1] = torch.inf
    logits.requires_grad_()
    masks, learned = torch.ones(1, 2, 3, 3, dtype=torch.bool), torch.tensor([[True, False]])
    losses = MaskLoss(weights=ONES)(logits, masks, learned)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert logits.grad[0, 0].all() and not logits.grad[0, 1].any()


def test_a_perfect_mask_costs_next_to_nothing():
    masks = torch.rand(1, 2, 6, 6) > 0.5
    losses = MaskLoss(weights=ONES)(
        torch.where(masks, 30.0, -30.0), masks, torch.ones(1, 2, dtype=torch.bool)
    )
    assert all(loss.item() == pytest.approx(0, abs=1e-6) for loss in losses.values())


def test_sixteen_bit_logits_have_float32_losses():
    masks, learned = torch.rand(1, 2, 6, 6) > 0.5, torch.ones(1, 2, dtype=torch.bool)
    losses = MaskLoss(weights=ONES)(torch.randn(1, 2, 6, 6).bfloat16(), masks, learned)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("weights", [{"mask": 1.0}, {**ONES, "colour": 1.0}])
def test_weights_must_name_every_loss(weights):
    with pytest.raises(ValueError, match="must name"):
        MaskLoss(weights=weights)
