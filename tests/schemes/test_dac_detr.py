"""DAC-DETR's second stream."""

import pytest
import torch

from hdetr_d2.matching import Ranked, TopKByScore
from hdetr_d2.schemes import DACDETR, CentreNoise, Denoising
from hdetr_d2.structures import Pairs

SCHEME = {"_target_": DACDETR, "cap": 1.0}
NOISE = {
    "_target_": Denoising,
    "num_classes": 3,
    "dim": 32,
    "box_noise": {"_target_": CentreNoise, "scale": 0.4},
    "label_noise": 0.2,
    "groups": 2,
    "max_queries": None,
}


def test_what_the_stream_learns(tiny_model, make_batch, train_step):
    model = tiny_model(schemes=[SCHEME])
    losses, seen = train_step(model, make_batch([2, 1]))
    output, learned = seen["dac"]
    assert isinstance(learned, Pairs) and learned.weights is not None
    assert output.predictions.boxes.shape == seen[""][0].predictions.boxes.shape
    again = model.criterion.assign([output])[0]
    assert torch.equal(again.queries, learned.queries)
    rule = Ranked(assigner=TopKByScore(cap=1.0, last_wins=True))
    plain = rule.assign(output, torch.sigmoid, None)
    assert torch.equal(plain.queries, learned.queries)
    assert torch.equal(plain.weights, learned.weights)
    # By hand from the pairs of the last layer: divided by three times the three objects.
    total = 0.0
    for image, rows in enumerate(learned.queries[-1].tolist()):
        for target, row in enumerate(rows):
            for place, query in enumerate(row):
                if query >= 0:
                    box = output.predictions.boxes[-1, image, query].detach()
                    distance = (box - output.targets.boxes[image, target]).abs().sum()
                    total += float(distance * learned.weights[-1, image, target, place])
    assert losses["loss_bbox_dac"].item() == pytest.approx(
        model.criterion.weights["bbox"] * total / 9, rel=1e-4
    )


def test_queries_of_a_target_may_count_alike(tiny_model, make_batch, train_step):
    _, seen = train_step(tiny_model(schemes=[{**SCHEME, "tau": None}]), make_batch([2, 1]))
    assert seen["dac"][1].weights is None


@pytest.mark.parametrize("order", [1, -1])
def test_denoising_has_a_second_stream_where_it_comes_before(
    tiny_model, make_batch, train_step, order
):
    model = tiny_model(schemes=[NOISE, SCHEME][::order])
    losses, seen = train_step(model, make_batch([2, 1]))
    assert ("loss_class_dac_dn" in losses) == (order == 1)
    if order == 1:
        (first, given), (second, also_given) = seen["dn"], seen["dac_dn"]
        assert given is also_given
        assert not torch.equal(first.predictions.logits, second.predictions.logits)
        assert model(make_batch([0, 0]))["loss_class_dac"].isfinite()


def test_the_other_losses_are_as_without(tiny_model, make_batch, train_step):
    plain, model = tiny_model(schemes=[]), tiny_model(schemes=[SCHEME])
    model.load_state_dict(plain.state_dict())
    batch = make_batch([2, 1])
    before, after = plain(batch), model(batch)
    assert {name for name in after if "dac" in name} == set(after) - set(before)
    for name, loss in before.items():
        torch.testing.assert_close(after[name], loss)
