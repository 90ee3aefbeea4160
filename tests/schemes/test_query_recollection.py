"""Recollected queries, beside the slow form of the paper: every set of queries by itself."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from hdetr_d2.errors import MisfitError
from hdetr_d2.layers import Layout, Span
from hdetr_d2.ops import move_boxes
from hdetr_d2.schemes import QueryRecollection
from hdetr_d2.structures import Group, GroupOutput, Match, Predictions, Queries, QueryGroup, Step

SINGLE_STAGE = "common/models/deformable_detr.py"
PLUS_PLUS = "common/models/deformable_detr_pp.py"
Set = tuple[Tensor, Tensor]
"""States and references of 12 queries."""


def test_the_sets_of_a_layer_are_those_of_the_two_layers_before():
    queries = Queries(torch.rand(1, 4, 8), None, torch.rand(1, 4, 4))
    main = QueryGroup(name="", queries=queries, assigner=Match((1,) * 6))
    main.weight = 0.25
    context = SimpleNamespace(main=main, num_layers=6)
    groups = QueryRecollection(weight=0.5).contribute(context).groups
    assert [group.blocks for group in groups] == [1, 1, 2, 3, 5]
    assert [len(group.assigner.capacity) for group in groups] == [5, 4, 3, 2, 1]
    assert groups[-1].start.of == (
        "",
        "recollected_from1",
        "recollected_from2",
        "recollected_from3",
    )
    assert {group.weight for group in groups} == {0.5 * 0.25}
    in_layer = [1 + sum(g.blocks for g in groups if g.first_layer <= layer) for layer in range(6)]
    assert in_layer == [1, 2, 3, 5, 8, 13]  # 32 sets, as the paper counts them


def test_a_decoder_of_one_layer_has_nothing_to_recollect(tiny_model, make_batch):
    model = tiny_model(decoder__num_layers=1, schemes=[])
    plain = model(make_batch([1, 1]))
    model.schemes.append(QueryRecollection())
    assert set(model(make_batch([1, 1]))) == set(plain)


def test_points_cannot_enter_beside_the_boxes_of_a_refining_decoder(tiny_model, make_batch):
    model = tiny_model("common/models/deformable_detr_refine.py", schemes=[])
    model.schemes.append(QueryRecollection())
    with pytest.raises(MisfitError, match="'recollected_from1' starts from points"):
        model(make_batch([1, 1]))


def sets_of(model, queries: Queries, memory) -> list[list[Predictions]]:
    """What every set predicts, of each layer, one set after the other."""
    decoder, found = model.decoder, []
    outputs: list[list[Set]] = [[(queries.content, queries.reference)]]
    for index, layer in enumerate(decoder.layers):
        made: list[Set] = []
        predicted = []
        for x, reference in [*outputs[-1], *(outputs[-2] if index else [])]:
            ratios = torch.cat([memory.valid_ratios] * 2, -1)[..., : reference.shape[-1]]
            place = reference[:, :, None] * ratios[:, None]
            x = layer(x, queries.position, Layout([Span(1, x.shape[1])]), memory, place)
            logits, delta = decoder.heads(index, x)
            box = move_boxes(delta, reference, decoder.eps)
            made.append((x, box.detach() if decoder.refine else reference))
            predicted.append(Predictions(logits[None], box[None]))
        outputs.append(made)
        found.append(predicted)
    return found


@pytest.mark.parametrize("path", [SINGLE_STAGE, PLUS_PLUS])
def test_losses_are_those_of_every_set_by_itself(tiny_model, make_batch, path):
    model = tiny_model(path, encoder__sizes__dropout=0.0, schemes=[])
    model.schemes.append(QueryRecollection())
    with torch.no_grad():  # box heads that start at zero move nothing
        for parameter in model.decoder.heads.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    seen: list = []
    model.decoder.register_forward_pre_hook(lambda _, args: seen.extend(args))
    contexts: list = []
    contribute = model.schemes[0].contribute
    model.schemes[0].contribute = lambda context: contexts.append(context) or contribute(context)
    losses = model(make_batch([2, 1]))
    (main, *_), memory = seen
    targets = contexts[0].targets
    step = Step.of(targets)
    sets = sets_of(model, main.queries, memory)
    assert [len(layer) for layer in sets] == [1, 2, 3]
    wanted = dict.fromkeys(("class", "bbox", "giou"), 0.0)
    for predictions in (each for layer in sets for each in layer):
        output = GroupOutput(Group(name="", assigner=Match((1,))), predictions, targets)
        (learned,) = model.criterion.assign([output])
        for kind, value in model.criterion(output, learned, step).items():
            wanted[kind.removeprefix("loss_")] += value
    for kind, value in wanted.items():
        mine = [
            v
            for name, v in losses.items()
            if name.startswith(f"loss_{kind}") and name[-4:] != "_enc"
        ]
        torch.testing.assert_close(sum(mine), value, rtol=1e-4, atol=1e-5)
