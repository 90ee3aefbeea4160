"""Groups that start in a later layer as other groups came out of an earlier one, against decoders
that run each of them alone.
"""

import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from hdetr_d2.ops import move_boxes
from hdetr_d2.schemes import Contribution, Scheme
from hdetr_d2.structures import Match, Memory, Predictions, Queries, QueryGroup, Start

sys.path.insert(0, str(Path(__file__).parent))
from main_group import inputs

PLUS_PLUS = "common/models/deformable_detr_pp.py"
MODELS = ["common/models/deformable_detr.py", PLUS_PLUS, "common/models/dino.py"]
DETR = "common/models/detr.py"


def build(tiny_model, path: str) -> nn.Module:
    model = tiny_model(path, encoder__sizes__dropout=0.0, schemes=[])
    with torch.no_grad():  # box heads that start at zero move nothing
        for parameter in model.decoder.heads.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def late(main: QueryGroup, name: str, start: Start) -> QueryGroup:
    """With as many blocks as it has sources."""
    blocks = len(start.of)
    queries = main.queries.map(lambda part: part.repeat(1, blocks, 1))
    return replace(main, name=name, queries=queries, blocks=blocks, start=start)


def through(
    decoder: nn.Module, group: QueryGroup, memory: Memory, layers: list[int]
) -> tuple[Predictions, Queries]:
    """What the group becomes in these layers alone, one decoder of one layer each; and the queries
    behind them. Without a norm of the states.
    """
    queries, found = group.queries, []
    states: list[torch.Tensor] = []
    for layer in layers:
        one = deepcopy(decoder)
        one.num_layers, one.layers = 1, nn.ModuleList([decoder.layers[layer]])
        place = min(layer, len(decoder.heads.class_heads) - 1)
        one.heads.class_heads = nn.ModuleList([decoder.heads.class_heads[place]])
        one.heads.box_heads = nn.ModuleList([decoder.heads.box_heads[place]])
        hook = decoder.layers[layer].register_forward_hook(lambda _, args, x: states.append(x))
        (each,) = one([replace(group, queries=queries)], memory)
        hook.remove()
        reference = queries.reference
        if decoder.refine and decoder.norm is None:
            reference = each.boxes[0].detach()
        elif decoder.refine:  # the norm is for what is reported
            step = one.heads.box_deltas(0, states[-1])
            reference = move_boxes(step, reference, one.eps).detach()
        found.append(each)
        queries = replace(queries, content=states[-1], reference=reference)
    logits, boxes = (
        torch.cat([getattr(each, part) for each in found]) for part in ("logits", "boxes")
    )
    return Predictions(logits, boxes, found[-1].states), queries


def check(found: Predictions, expected: Predictions, block: slice = slice(None)) -> None:
    torch.testing.assert_close(found.logits[:, :, block], expected.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.boxes[:, :, block], expected.boxes, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("path", MODELS)
def test_they_go_on_from_where_others_were(tiny_model, make_batch, path):
    model = build(tiny_model, path)
    model.decoder.look_forward_twice = False  # changes gradients alone
    main, memory = inputs(model, make_batch)
    one = late(main, "one", Start(layer=1, passed=0, of=("",)))
    # As main and the first one came out of layer 1: the one before is left out by both.
    two = late(main, "two", Start(layer=2, passed=1, of=("",)))
    now = late(main, "now", Start(layer=2, passed=2, of=("one", "")))
    plain = replace(main, name="plain")
    groups = [main, now, two, one, plain]
    found = dict(zip([g.name for g in groups], model.decoder(groups, memory), strict=True))
    assert {name: len(each.logits) for name, each in found.items()} == dict(
        zip(["", "now", "two", "one", "plain"], [3, 1, 1, 2, 3], strict=True)
    )
    check(found[""], through(model.decoder, main, memory, [0, 1, 2])[0])
    check(found["plain"], found[""])
    check(found["one"], through(model.decoder, main, memory, [1, 2])[0])
    _, after_first = through(model.decoder, main, memory, [0])
    check(found["two"], through(model.decoder, replace(main, queries=after_first), memory, [2])[0])
    check(found["now"], Predictions(found["one"].logits[1:], found["one"].boxes[1:]), slice(12))
    check(found["now"], Predictions(found[""].logits[2:], found[""].boxes[2:]), slice(12, 24))
    torch.testing.assert_close(found["now"].states[:, 12:], found[""].states)


def test_without_references_the_states_alone_go_on(tiny_model, make_batch):
    model = build(tiny_model, DETR)
    main, memory = inputs(model, make_batch)
    one = late(main, "one", Start(layer=1, passed=0, of=("",)))
    short = deepcopy(model.decoder)
    short.layers, short.num_layers = short.layers[1:], 2
    found = model.decoder([one, main], memory)
    check(found[0], short([main], memory)[0])
    check(found[1], model.decoder([main], memory)[0])


def test_the_boxes_also_train_the_layer_before(tiny_model, make_batch):
    """Looking forward twice, as far as the queries have come."""
    model = build(tiny_model, PLUS_PLUS)
    main, memory = inputs(model, make_batch)
    two = late(main, "two", Start(layer=2, passed=1, of=("",)))
    _, found = model.decoder([main, two], memory)
    found.boxes.sum().backward()
    trained = [bool(head.last.weight.grad.any()) for head in model.decoder.heads.box_heads]
    assert trained == [True, False, True]


@pytest.mark.parametrize("path", [PLUS_PLUS, DETR])
def test_a_bias_is_told_what_was_said_of_its_queries(tiny_model, make_batch, path):
    model = build(tiny_model, path)
    main, memory = inputs(model, make_batch)
    asked = []

    def bias(layer, queries, keys):
        asked.append(queries)

    groups = [
        main,
        replace(late(main, "one", Start(layer=1, passed=0, of=("",))), attention_bias=bias),
        replace(late(main, "two", Start(layer=2, passed=1, of=("",))), attention_bias=bias),
    ]
    found = model.decoder(groups, memory)
    first, second, third = asked
    assert not first.logits.any()  # nothing had been said
    assert torch.equal(second.logits, found[1].logits[0])
    assert torch.equal(third.logits, found[0].logits[0])
    assert torch.equal(third.boxes[-1], found[0].boxes[0])


@pytest.mark.parametrize("path", [PLUS_PLUS, DETR])
def test_recomputed_activations_are_the_same(tiny_model, make_batch, path):
    model = build(tiny_model, path).train()
    main, memory = inputs(model, make_batch)
    groups = [main, late(main, "two", Start(layer=2, passed=1, of=("",)))]

    def gradients() -> list[torch.Tensor]:
        model.decoder.zero_grad()
        found = model.decoder(groups, memory)
        sum(each.logits.square().sum() for each in found).backward(retain_graph=True)
        return [p.grad.clone() for p in model.decoder.parameters() if p.grad is not None]

    kept = gradients()
    model.decoder.checkpointing = True
    for one, other in zip(kept, gradients(), strict=True):
        torch.testing.assert_close(one, other)


def test_losses_have_the_numbers_of_the_layers(tiny_model, make_batch):
    class OneLayerLess(Scheme):
        def contribute(self, context) -> Contribution:
            group = late(context.main, self.name, Start(layer=1, passed=0, of=("",)))
            return Contribution([replace(group, assigner=Match((1, 1)))])

    model = tiny_model(PLUS_PLUS)
    model.schemes = nn.ModuleList([OneLayerLess("later")])
    losses = model(make_batch([2, 0]))
    assert {name for name in losses if "later" in name} == {
        f"loss_{kind}_later{layer}" for kind in ("class", "bbox", "giou") for layer in ("_1", "")
    }
    assert all(loss.isfinite() for loss in losses.values())


def test_what_cannot_be(tiny_model, make_batch):
    model = build(tiny_model, PLUS_PLUS)
    main, memory = inputs(model, make_batch)
    one = late(main, "one", Start(layer=1, passed=0, of=("",)))
    with pytest.raises(ValueError, match="cannot come in with"):
        Start(layer=1, passed=2, of=("",))
    absent = late(main, "two", Start(layer=2, passed=1, of=("one",)))
    with pytest.raises(ValueError, match=r"'two' starts as \['one'\] after 1 layers, but by then"):
        model.decoder([main, one, absent], memory)
    short = replace(one, queries=one.queries.map(lambda part: part[:, :5]))
    with pytest.raises(ValueError, match="'one' has 5 queries, but starts as 12"):
        model.decoder([main, short], memory)
    with pytest.raises(ValueError, match="'' cannot see a group that starts later"):
        model.decoder([replace(main, sees=("one",)), one], memory)
