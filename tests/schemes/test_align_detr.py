"""Align-DETR: how often and how much queries count, layer by layer."""

import math

import pytest
import torch

from hdetr_d2.losses import IoUAwareLoss
from hdetr_d2.schemes import AlignDETR
from hdetr_d2.structures import MAIN, PROPOSALS, Match, Pairs


def test_two_queries_a_target_in_all_layers_but_the_last(tiny_model, make_batch, train_step):
    model = tiny_model(
        "common/models/dino.py", schemes=[{"_target_": AlignDETR, "repeats": 2, "tau": 2.0}]
    )
    losses, seen = train_step(model, make_batch([2, 1]))
    for name, capacities in ((MAIN, (2, 2, 1)), (PROPOSALS, (2,))):
        pairs = seen[name].assignment
        assert isinstance(pairs, Pairs) and pairs.weights is not None
        taken = pairs.queries >= 0
        assert taken.sum((1, 2, 3)).tolist() == [3 * capacity for capacity in capacities]
        weights = pairs.weights[taken].unique().tolist()
        assert weights == pytest.approx([math.exp(-0.5), 1])
    assert all(loss.isfinite() for loss in losses.values())


def test_losses_are_divided_by_the_objects_alone(tiny_model, make_batch, train_step):
    """And the box losses are weighed: with a tau that leaves the second query nothing they are
    those of one query a target.
    """
    sharp, even = (
        tiny_model(schemes=[{"_target_": AlignDETR, "repeats": 2, "tau": tau}])
        for tau in (1e-3, 1e9)
    )
    even.load_state_dict(sharp.state_dict())
    batch = make_batch([2, 1])
    (one, seen), (both, _) = train_step(sharp, batch), train_step(even, batch)
    assert one["loss_bbox_0"] < both["loss_bbox_0"]
    torch.testing.assert_close(one["loss_bbox"], both["loss_bbox"])
    assert seen[MAIN].assignment.weights[0].unique().tolist() == [0, 1]


def test_ranks_change_the_class_losses_that_ask(tiny_model, make_batch):
    losses = []
    for tau in (0.5, 1e9):
        torch.manual_seed(0)
        model = tiny_model(schemes=[{"_target_": AlignDETR, "tau": tau}])
        torch.manual_seed(0)
        focal = model(make_batch([2, 1]))["loss_class_0"].item()
        model.criterion.class_loss = IoUAwareLoss()
        losses.append((focal, model(make_batch([2, 1]))["loss_class_0"].item()))
    (focal, aware), (other_focal, other_aware) = losses
    assert focal == pytest.approx(other_focal)
    assert aware != pytest.approx(other_aware)


def test_proposals_have_their_own_number():
    scheme = AlignDETR(repeats=3)
    assert scheme.assigner_of_proposals(Match((1,))).capacity == (3,)
    assert [scheme.capacity(layer, 6, 0.0) for layer in range(6)] == [3] * 5 + [1]
