"""Which classes the federated loss keeps, and that the others have no loss at all."""

import math
import sys
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from torch._subclasses import FakeTensorMode

from hdetr_d2.losses import FederatedLoss, FocalLoss
from hdetr_d2.ops import FocalCost
from hdetr_d2.structures import BACKGROUND, NO_LOSS

sys.path.insert(0, str(Path(__file__).parents[1] / "modeling"))
from device_waits import NoWaits

CONFIGS = Path(__file__).parents[2] / "configs"
ONE = (1 / 16) * math.log(2)
"""Focal loss of a positive at the logit 0."""
NONE = (3 / 16) * math.log(2)
"""Focal loss of a negative at the logit 0."""


def federated(**options: object) -> FederatedLoss:
    return FederatedLoss(loss=FocalLoss(), **options)  # type: ignore[arg-type]


def test_only_kept_classes_have_a_loss():
    # Classes 1 and 4 are in the targets; with 2 kept nothing is drawn beside them.
    labels = torch.tensor([[[1, BACKGROUND, NO_LOSS], [4, 4, BACKGROUND]]])
    logits = torch.zeros(1, 2, 3, 6, requires_grad=True)
    loss = federated(num_kept=2)(logits, labels)
    # Five queries with two classes each: three positives.
    assert loss.tolist() == pytest.approx([3 * ONE + 7 * NONE])
    loss.sum().backward()
    assert logits.grad.flatten(0, 2).any(0).tolist() == [False, True, False, False, True, False]


def test_drawn_classes_are_learned_as_negatives():
    labels = torch.tensor([[[1, BACKGROUND]]])
    loss = federated(num_kept=4)(torch.zeros(1, 1, 2, 6), labels)
    assert loss.tolist() == pytest.approx([ONE + 7 * NONE])


def test_all_present_classes_are_kept_even_if_they_are_more():
    labels = torch.tensor([[[0, 2, 5, BACKGROUND]]])
    kept = federated(num_kept=1).draw_classes(labels, 6)
    assert kept.tolist() == [True, False, True, False, False, True]


def test_all_classes_kept_are_the_loss_itself():
    logits, labels = torch.randn(2, 3, 4, 6), torch.randint(NO_LOSS, 6, (2, 3, 4))
    loss = federated(num_kept=50, image_counts=range(6))(logits, labels)
    torch.testing.assert_close(loss, FocalLoss()(logits, labels), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_a_dropped_class_has_exactly_no_loss(dtype: torch.dtype, gamma: float):
    logits = torch.zeros(1, 1, 1, 3, dtype=dtype)
    logits[..., 2] = 30.0
    loss = FederatedLoss(loss=FocalLoss(gamma=gamma), image_counts=[1, 1, 0], num_kept=2)
    labels = torch.full((1, 1, 1), BACKGROUND)
    expected = FocalLoss(gamma=gamma)(logits[..., :2], labels)
    torch.testing.assert_close(loss(logits, labels), expected, rtol=0, atol=0)


def test_what_is_drawn_follows_the_counts():
    # Rates 1 to 2 (the roots of 1 and 4) for the two classes that are not in the targets.
    loss = federated(image_counts=[1, 100, 4], num_kept=2, power=0.5)
    labels = torch.tensor([[[1]]])
    drawn = sum(loss.draw_classes(labels, 3).int() for _ in range(3000))
    assert drawn[1] == 3000
    assert drawn[2] / 3000 == pytest.approx(2 / 3, abs=0.03)
    assert drawn.sum() == 6000


def test_a_class_without_images_is_drawn_last():
    loss = federated(image_counts=[0, 3, 2, 0], num_kept=2)
    nothing = torch.full((1, 2, 3), BACKGROUND)
    for _ in range(20):
        assert loss.draw_classes(nothing, 4).tolist() == [False, True, True, False]


def test_the_draw_does_not_wait_for_the_device():
    with FakeTensorMode():
        loss = federated(image_counts=[1, 2, 3], num_kept=2).to("cuda")
        labels = torch.zeros(6, 2, 5, dtype=torch.int64, device="cuda")
        with NoWaits():
            assert loss.draw_classes(labels, 3).device.type == "cuda"


@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 3, 0)])
def test_nothing_to_learn(shape: tuple[int, int, int]):
    logits = torch.zeros(*shape, 4, requires_grad=True)
    loss = federated(num_kept=2)(logits, torch.zeros(shape, dtype=torch.int64))
    assert loss.tolist() == [0.0] * shape[0]
    loss.sum().backward()


def test_the_rest_is_that_of_the_loss_inside():
    loss, bias = federated(image_counts=[1, 2]), torch.empty(2)
    assert loss.matching_cost == FocalCost(0.25, 2.0)
    assert loss.num_outputs(2) == 2
    loss.init_bias(bias)
    assert loss.scores(bias).tolist() == pytest.approx([0.01] * 2)
    assert loss.state_dict() == {}


def test_counts_that_do_not_fit_are_told():
    with pytest.raises(ValueError, match="3 image_counts cannot be those of 2 classes"):
        federated(image_counts=[1, 2, 3]).num_outputs(2)
    with pytest.raises(ValueError, match="negative: -1"):
        federated(image_counts=[1, -1])
    with pytest.raises(ValueError, match="num_kept=0"):
        federated(num_kept=0)


def test_a_model_takes_it_with_the_counts_of_its_data(tiny_config, make_batch):
    cfg = tiny_config()
    cfg.data.image_counts = [4, 0, 9]
    cfg.model.criterion.class_loss = LazyConfig.load(str(CONFIGS / "common/losses.py")).federated
    model = instantiate(cfg.model)
    assert model.criterion.class_loss.rates.tolist() == [2.0, 0.0, 3.0]
    assert model.criterion.class_loss.matching_cost == FocalCost(0.25, 2.0)
    assert model.decoder.heads.class_loss is model.criterion.class_loss
    losses = model(make_batch([2, 0]))
    assert all(loss.isfinite() for loss in losses.values())
