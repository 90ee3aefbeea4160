"""Layers of the main queries that learn by IoU and score, and those that are matched."""

import pytest
import torch

from hdetr_d2.errors import MisfitError
from hdetr_d2.matching import EarlyLayers, TopKByScore
from hdetr_d2.schemes import OneToManyLayers
from hdetr_d2.structures import Group, GroupOutput, Match, Predictions, Step, Targets

PLUS_PLUS = "common/models/deformable_detr_pp.py"


def output(layers: int, queries: int = 10) -> GroupOutput:
    boxes = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.7, 0.6, 0.3, 0.2], [0.5] * 4])
    targets = Targets(
        torch.tensor([[1, 0, 0], [2, 0, 0]]),
        boxes.expand(2, -1, -1).clone(),
        torch.tensor([[True, True, False], [True, False, False]]),
    )
    near = boxes[torch.arange(queries) % 2] + 0.02 * torch.randn(layers, 2, queries, 4)
    predictions = Predictions(torch.randn(layers, 2, queries, 3), near.clamp(0.05, 0.95))
    return GroupOutput(Group(name="", assigner=Match((1,) * layers)), predictions, targets)


def part(whole: GroupOutput, layers: slice) -> GroupOutput:
    predictions = whole.predictions
    logits, boxes = predictions.logits[layers], predictions.boxes[layers]
    return GroupOutput(whole.group, Predictions(logits, boxes), whole.targets)


def test_every_layer_learns_by_its_own_assigner():
    whole, top = output(4), TopKByScore(topk=3, cap=1.0)
    matched = torch.full((4, 2, 10), -1)
    matched[:, 0, 7], matched[:, 0, 2], matched[:, 1, 5] = 0, 1, 0
    pairs = EarlyLayers(top, 3, Match((1,) * 4)).assign(whole, torch.sigmoid, matched)
    early = top.assign(part(whole, slice(3)), torch.sigmoid, None)
    assert torch.equal(pairs.queries[:3], early.queries)
    assert torch.equal(pairs.assignment[:3], early.assignment)
    assert pairs.queries[3].tolist() == [
        [[7, -1, -1], [2, -1, -1], [-1, -1, -1]],
        [[5, -1, -1], [-1, -1, -1], [-1, -1, -1]],
    ]
    assert torch.equal(pairs.assignment[3], matched[3])


def test_more_queries_of_a_target_than_the_first_layers_take():
    matched = torch.full((2, 2, 10), -1)
    matched[1, 0, [1, 4, 6]] = 1
    assigner = EarlyLayers(TopKByScore(topk=1), 1, Match((3, 3)))
    pairs = assigner.assign(output(2), torch.sigmoid, matched)
    assert sorted(pairs.queries[1, 0, 1].tolist()) == [1, 4, 6]
    assert pairs.queries[0].shape == (2, 3, 3)


def test_what_losses_are_divided_by():
    assigner = EarlyLayers(TopKByScore(normaliser_factor=3.0), 2, Match((1, 1, 2)))
    assert assigner.normaliser(Step(torch.tensor(4.0))).tolist() == [12, 12, 8]


def test_pairs_of_layers_cannot_be_weighed():
    assigner = EarlyLayers(TopKByScore(grades=True), 1, Match((1, 1)))
    with pytest.raises(MisfitError, match="cannot weigh or grade"):
        assigner.assign(output(2), torch.sigmoid, torch.full((2, 2, 10), -1))


def test_the_losses_are_those_of_either_assigner(tiny_model, make_batch):
    """The last layer as without the scheme; the first ones as if all were assigned so."""
    batch = make_batch([2, 1])
    plain = tiny_model(PLUS_PLUS, schemes=[])(batch)
    node = {"_target_": "hdetr_d2.schemes.OneToManyLayers", "num_layers": 2}
    model = tiny_model(PLUS_PLUS, schemes=[node])
    mixed = model(batch)
    for kind in ("class", "bbox", "giou"):
        assert mixed[f"loss_{kind}"].item() == pytest.approx(plain[f"loss_{kind}"].item())
    scheme = model.schemes[0]
    scheme.assigner_of_main = lambda assigner: scheme.assigner
    everywhere = model(batch)
    for kind in ("class", "bbox", "giou"):
        for layer in ("_0", "_1"):
            name = f"loss_{kind}{layer}"
            assert mixed[name].item() == pytest.approx(everywhere[name].item())
        assert mixed[f"loss_{kind}_0"] != plain[f"loss_{kind}_0"]


@pytest.mark.parametrize(("wanted", "early"), [(None, 5), (2, 2), (9, 5)])
def test_the_last_layer_is_always_matched(wanted, early):
    assigner = OneToManyLayers(num_layers=wanted).assigner_of_main(Match((1,) * 6))
    assert assigner.number == early


def test_a_decoder_of_one_layer_is_matched():
    match = Match((1,))
    assert OneToManyLayers().assigner_of_main(match) is match


@pytest.mark.parametrize("options", [{"num_layers": 0}, {"topk": 0}, {"cap": 1.5}])
def test_what_cannot_be(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        OneToManyLayers(**options)
