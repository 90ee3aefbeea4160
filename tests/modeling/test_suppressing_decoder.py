"""The last layer of MDS-DETR's decoder, against a slow one written by hand, and its contract."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.errors import MisfitError
from hdetr_d2.layers import ConfidenceOrder, QueryState
from hdetr_d2.structures import Given, Match, QueryGroup, Start

sys.path.insert(0, str(Path(__file__).parent))
from main_group import memory_of

MODEL = "common/models/mds_detr.py"
HEADS, TOKENS = 4, 10


@pytest.fixture
def model(tiny_model):
    """With random numbers where a training starts with zeros."""
    model = tiny_model(MODEL)
    for part in (model.decoder.suppressor, model.decoder.attention_bias):
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def sines(number: float) -> list[float]:
    """Of 32 features with waves from 2 pi to 10000 times that."""
    angles = [number / 10000 ** (index / 16) for index in range(16)]
    return [wave(angle) for angle in angles for wave in (math.sin, math.cos)]


def describe(one: list[float], other: list[float]) -> list[float]:
    """The 128 features of a pair of boxes cxcywh."""
    eps = 1e-5
    numbers = [math.log(abs(one[i] - other[i]) / (one[i + 2] + eps) + 1) for i in (0, 1)]
    numbers += [math.log((one[i] + eps) / (other[i] + eps)) for i in (2, 3)]
    return [value for number in numbers for value in sines(number)]


def suppressed(decoder, x: Tensor, boxes: Tensor, logits: Tensor) -> Tensor:
    """One image, `Tensor[Q, C]`, one query and one head after the other."""
    layer, order = decoder.suppressor, decoder.attention_bias
    attention, number = layer.self_attention, len(x)
    rows = torch.cat([x, layer.token_content + layer.token_position])
    values = torch.cat([x, layer.token_content])
    query, _, _ = attention.project((rows[None], 2), (rows[None], 1))
    _, key, value = attention.project((rows[None], 2), (values[None], 1))
    sure = [max(row) for row in logits.tolist()]
    places = boxes.tolist()
    found = torch.zeros(number, HEADS, x.shape[1] // HEADS)
    for i in range(number):
        seen = [j for j in range(number) if sure[j] > sure[i]]
        for head in range(HEADS):
            scores = []
            for j in [*seen, *range(number, number + TOKENS)]:
                score = query[0, i, head] @ key[0, j, head] / math.sqrt(x.shape[1] // HEADS)
                if j < number:
                    pair = [describe(places[i], places[j]), describe(places[j], places[i])]
                    score = score + order.relation(torch.tensor(pair))[:, head].mean()
                else:
                    score = score + order.token_bias[head, 0, j - number]
                scores.append(score)
            weights = torch.stack(scores).softmax(0)
            keys = [*seen, *range(number, number + TOKENS)]
            found[i, head] = weights @ value[0, keys, head]
    x = layer.self_norm(x + attention.out_proj(found.flatten(1)))
    hidden = layer.feed_forward.linear1(x).clamp(min=0)
    return layer.feed_forward.norm(x + layer.feed_forward.linear2(hidden))


@torch.no_grad()
def test_the_last_layer_by_hand(model, make_batch):
    memory = memory_of(model, make_batch)
    model.eval()
    states = []
    with model.decoder.suppressor.register_forward_pre_hook(lambda _, args: states.append(args[0])):
        found = model.predict(memory)
    assert len(found.logits) == model.decoder.num_layers == 4
    assert torch.equal(found.boxes[-1], found.boxes[-2])
    for image in range(2):
        expected = suppressed(
            model.decoder, states[0][image], found.boxes[-2, image], found.logits[-2, image]
        )
        torch.testing.assert_close(found.states[image], expected, rtol=1e-4, atol=1e-4)
        scored = model.decoder.class_heads[0](expected)
        torch.testing.assert_close(found.logits[-1, image], scored, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_query_changes_only_what_is_less_sure(model, make_batch):
    memory = memory_of(model, make_batch)
    layer = model.eval().decoder.suppressor
    queries = {}
    with layer.register_forward_pre_hook(lambda _, args: queries.update(x=args[0], at=args[1])):
        found = model.predict(memory)
    order = found.logits[-2, 0].amax(-1).argsort(descending=True)
    before = layer(queries["x"], queries["at"])
    for rank in (0, 5, 11):
        x = queries["x"].clone()
        x[0, order[rank]] += 1
        same = (layer(x, queries["at"]) == before)[0].all(-1)[order]
        assert same.tolist() == [True] * rank + [False] * (12 - rank)


def state(logits: list[float]) -> QueryState:
    number = len(logits)
    content = torch.zeros(1, number, 8)
    boxes = torch.rand(1, number, 4)
    return QueryState(content, content, None, torch.tensor(logits)[None, :, None], (boxes,))


def test_who_sees_whom():
    order = ConfidenceOrder(layer=2, num_heads=2, num_tokens=3)
    queries, keys = state([0.5, 2.0, 0.5]), state([0.5, 1.0])
    assert order(1, queries, queries) is None
    seen = order(2, queries, queries)[0, 0] > -torch.inf
    # The equally sure do not see each other; tokens are seen by all.
    assert seen.int().tolist() == [[0, 1, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 1, 1]]
    others = order(2, queries, keys)
    assert others.shape == (1, 2, 3, 5)
    assert (others[0, 1, :, :2] > -torch.inf).int().tolist() == [[0, 1], [0, 0], [0, 1]]
    torch.testing.assert_close(others[..., 2:], torch.full((1, 2, 3, 3), -math.log(3)))


def test_boxes_say_the_same_to_both():
    order = ConfidenceOrder(layer=0, num_heads=2)
    torch.nn.init.normal_(order.relation.last.weight)
    seen = state([3.0, 2.0, 1.0])
    near = order._near(seen, seen)
    torch.testing.assert_close(near, near.transpose(2, 3))
    # Not known to be the same queries, they are described from both sides.
    torch.testing.assert_close(order._near(seen, seen._replace(reference=None)), near)


def test_without_a_token_the_surest_query_would_see_nothing():
    with pytest.raises(ValueError, match="num_tokens=0 must be at least 1"):
        ConfidenceOrder(layer=0, num_heads=2, num_tokens=0)


def test_the_last_boxes_teach_nothing(model, make_batch):
    losses = model(make_batch([2, 1]))
    assert losses["loss_bbox"] > 0
    (losses["loss_bbox"] + losses["loss_giou"]).backward(retain_graph=True)
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)
    losses["loss_class"].backward()
    assert model.decoder.class_heads[0].weight.grad.any()


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("counts", [[2, 1], [0, 0]])
def test_every_parameter_gets_a_gradient(tiny_model, make_batch, counts, checkpointing):
    model = tiny_model(MODEL, decoder__checkpointing=checkpointing)
    losses = model(make_batch(counts))
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@torch.no_grad()
def test_groups_that_see_the_main_one_are_ordered_and_others_are_not(model, make_batch):
    memory = memory_of(model, make_batch)
    queries = model.query_selection(memory).main
    main = QueryGroup(name="", queries=queries, assigner=Match((1,) * 4))
    given = Given(torch.zeros(4, 2, 6, dtype=torch.int64), repeats=2)
    few = queries.map(lambda part: part[:, :6])
    seeing = QueryGroup(name="dn", queries=few, assigner=given, blocks=2, sees=("",))
    layouts = []
    with model.decoder.suppressor.register_forward_pre_hook(lambda _, a: layouts.append(a[1])):
        together = model.decoder([main, seeing, replace(main, name="other")], memory)
    assert [span.tokens is not None for span in layouts[0].spans] == [True, True, False]
    (alone,) = model.decoder([main], memory)
    torch.testing.assert_close(together[0].logits, alone.logits)
    assert not torch.allclose(together[2].logits[-1], alone.logits[-1])
    assert all(each.logits.isfinite().all() for each in together)


def test_a_group_cannot_start_in_the_last_layer(model, make_batch):
    memory = memory_of(model, make_batch)
    queries = model.query_selection(memory).main
    main = QueryGroup(name="", queries=queries, assigner=Match((1,) * 4))
    late = replace(
        main, name="late", start=Start(layer=3, passed=2, of=("",)), assigner=Match((1,))
    )
    with pytest.raises(MisfitError, match="No group can start in layer 3"):
        model.decoder([main, late], memory)


def test_the_new_class_head_depends_on_the_classes(model):
    assert "decoder.class_heads.0.weight" in model.class_head_keys()


@torch.no_grad()
def test_groups_that_do_not_attend_pass_by_the_last_layer_too(model, make_batch):
    memory = memory_of(model, make_batch)
    queries = model.query_selection(memory).main
    main = QueryGroup(name="", queries=queries, assigner=Match((1,) * 4))
    other = queries.map(lambda part: part + 0.3)
    changed = replace(other, content=torch.cat([other.content[:, :1], queries.content[:, 1:]], 1))

    def first_query(queries):
        apart = QueryGroup(name="x", queries=queries, assigner=Match((1,) * 4), attends=False)
        return model.decoder([main, apart], memory)[1].logits[:, :, 0]

    torch.testing.assert_close(first_query(other), first_query(changed))


@pytest.mark.parametrize("names", [["instructed_branch"], ["separate_branch"], ["dac_detr"]])
def test_what_groups_have_of_their_own_is_for_the_layers_before(
    tiny_model, make_batch, small_schemes, names
):
    model = tiny_model(MODEL, schemes=[small_schemes[name] for name in names])
    losses = model(make_batch([2, 1]))
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_weights_of_a_model_without_the_last_layer_are_a_start(model, tiny_model):
    plain = tiny_model("common/models/deformable_detr_two_stage.py", schemes=[])
    missing = set(model.state_dict()) - set(plain.state_dict())
    assert missing
    assert all(key.startswith(tuple(model.optional_keys())) for key in missing)
