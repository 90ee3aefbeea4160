"""Parts of a decoder layer that are a group's own, in every decoder and beside other groups."""

import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from hdetr_d2.layers import Layout, Span
from hdetr_d2.structures import OWN_PARTS, Memory, QueryGroup

sys.path.insert(0, str(Path(__file__).parent))
from main_group import inputs

DINO = "common/models/dino.py"
MODELS = [
    "common/models/deformable_detr.py",
    "common/models/deformable_detr_pp.py",
    DINO,
    "common/models/detr.py",
]


@pytest.fixture(params=MODELS)
def model(request, tiny_model):
    model = tiny_model(request.param, encoder__sizes__dropout=0.0, schemes=[])
    model.decoder = other(model.decoder)  # box heads that start at zero would hide a difference
    return model


def other(decoder: nn.Module) -> nn.Module:
    """The decoder with other numbers in all that a group may have for itself."""
    changed = deepcopy(decoder)
    norms = [layer.self_norm for layer in changed.layers]
    linears = [getattr(each.feed_forward, f"linear{n}") for each in changed.layers for n in (1, 2)]
    with torch.no_grad():
        for module in (*norms, *linears, changed.heads):
            for parameter in module.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return changed


def parts_of(decoder: nn.Module, names: tuple[str, ...] = OWN_PARTS) -> dict:
    """Its own, as a group takes them."""
    own = {
        "self_norm": lambda layer, x: decoder.layers[layer].self_norm(x),
        "feed_forward": lambda layer, x: decoder.layers[layer].feed_forward.branch(x),
        "class_logits": decoder.heads.class_logits,
        "box_deltas": decoder.heads.box_deltas,
    }
    return {name: own[name] for name in names}


@pytest.mark.parametrize("names", [*((name,) for name in OWN_PARTS), OWN_PARTS], ids="+".join)
def test_they_stand_in_the_place_of_the_decoders(model, make_batch, names):
    main, memory = inputs(model, make_batch)
    changed = other(model.decoder)
    alone = deepcopy(model.decoder)  # the decoder with the changed parts in their places
    for layer, mine in zip(alone.layers, changed.layers, strict=True):
        if "self_norm" in names:
            layer.self_norm = mine.self_norm
        if "feed_forward" in names:
            layer.feed_forward.linear1 = mine.feed_forward.linear1
            layer.feed_forward.linear2 = mine.feed_forward.linear2
    if "class_logits" in names:
        alone.heads.class_heads = changed.heads.class_heads
    if "box_deltas" in names:
        alone.heads.box_heads = changed.heads.box_heads
    group = replace(main, name="own", own=parts_of(changed, names))
    seeing = replace(main, name="seeing", sees=("own",))
    found = model.decoder([main, group, seeing], memory)
    plain, expected = model.decoder([main], memory)[0], alone([main], memory)[0]
    for one, same in zip(found, (plain, expected), strict=False):
        torch.testing.assert_close(one.logits, same.logits)
        torch.testing.assert_close(one.boxes, same.boxes)
    assert not torch.allclose(expected.logits, plain.logits) or names == ("box_deltas",)
    assert not torch.allclose(expected.boxes, plain.boxes) or names == ("class_logits",)


def test_all_other_groups_go_through_a_layer_in_one_piece(model, make_batch):
    main, memory = inputs(model, make_batch)
    own = parts_of(other(model.decoder))
    groups = [main, replace(main, name="own", own=own), replace(main, name="third")]
    rows: list[int] = []
    layer = model.decoder.layers[1]
    for module in (layer.self_norm, layer.feed_forward.linear1):
        module.register_forward_hook(lambda _, args, out: rows.append(args[0].shape[1]))
    model.decoder(groups, memory)
    assert rows == [24, 24]


def test_without_any_the_layer_is_called_as_it_is():
    shared = nn.Identity()
    assert Layout([Span(1, 5), Span(2, 3)]).own("feed_forward", shared) is shared


def test_a_row_of_own_parts_alone():
    layout = Layout([Span(1, 2, own={"self_norm": lambda layer, x: x + layer})], layer=3)
    applied = layout.own("self_norm", nn.Identity())
    assert applied(torch.zeros(1, 2, 1)).tolist() == [[[3.0], [3.0]]]


def step(decoder: nn.Module, changed: nn.Module, groups: list[QueryGroup], memory: Memory):
    """Outputs and all gradients."""
    for module in (decoder, changed):
        module.zero_grad()
    found = decoder.train()(groups, memory)
    sum(f.logits.square().sum() + f.boxes.sum() for f in found).backward(retain_graph=True)
    learned = (*decoder.parameters(), *changed.parameters())
    return [f.logits for f in found] + [p.grad.clone() for p in learned if p.grad is not None]


def test_recomputed_activations_are_the_same(tiny_model, make_batch):
    model = tiny_model(DINO, schemes=[])
    main, memory = inputs(model, make_batch)
    changed = other(model.decoder)
    groups = [main, replace(main, name="own", own=parts_of(changed))]
    kept = step(model.decoder, changed, groups, memory)
    model.decoder.checkpointing = True
    recomputed = step(model.decoder, changed, groups, memory)
    for one, same in zip(kept, recomputed, strict=True):
        torch.testing.assert_close(one, same)
    learned = {name for name, p in changed.named_parameters() if p.grad is not None}
    assert {"layers.0.self_norm.weight", "layers.2.feed_forward.linear1.weight"} <= learned


def test_nobody_can_have_an_attention_for_himself(model, make_batch):
    main, _ = inputs(model, make_batch)
    with pytest.raises(ValueError, match="'' cannot have attention of its own, only self_norm"):
        replace(main, own={"attention": lambda layer, x: x})
