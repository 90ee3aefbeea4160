"""The decoder's own bias is for the main queries and for those that see them, in training and in
evaluation, and for nobody else.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig
from torch import Tensor, nn

from hdetr_d2.layers import BoxRelation, Layout, QueryState, SelfAttention, Span
from hdetr_d2.structures import Given, Match, QueryGroup

sys.path.insert(0, str(Path(__file__).parent))
from main_group import memory_of

CONFIGS = Path(__file__).parents[2] / "configs" / "common"
PLUS_PLUS, DINO = "common/models/deformable_detr_pp.py", "common/models/dino.py"
MODELS = ["common/models/deformable_detr.py", PLUS_PLUS, "common/models/detr.py", DINO]
HEADS = 4


class PerHead(nn.Module):
    """Another bias for every head in every layer but the first; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(HEADS, 64, 64))
        self.asked: list[tuple[int, int, int]] = []

    def forward(self, layer: int, queries: QueryState, keys: QueryState) -> Tensor | None:
        (images, length, _), seen = queries.content.shape, keys.content.shape[1]
        assert all(len(boxes[0]) == images for boxes in (queries.boxes, keys.boxes) if boxes)
        self.asked.append((layer, length, seen))
        return self.table[:, :length, :seen].expand(images, -1, -1, -1) if layer else None


class Silent(nn.Module):
    def forward(self, layer: int, queries: QueryState, keys: QueryState) -> None:
        return None


@pytest.fixture(params=MODELS)
def model(request, tiny_model):
    model = tiny_model(request.param, schemes=[], encoder__sizes__dropout=0.0)
    model.decoder.attention_bias = PerHead()
    return model


def groups_of(model, memory) -> tuple[QueryGroup, QueryGroup, QueryGroup]:
    """The main group, two blocks of four that see it, and one that knows nothing of it."""
    queries, layers = model.query_selection(memory).main, model.decoder.num_layers
    main = QueryGroup(name="", queries=queries, assigner=Match((1,) * layers))
    given = Given(torch.zeros(layers, 2, 8, dtype=torch.int64), repeats=2)
    few = queries.map(lambda part: part[:, :8])
    seeing = QueryGroup(name="dn", queries=few, assigner=given, blocks=2, sees=("",))
    return main, seeing, replace(main, name="other")


def test_who_is_asked(model, make_batch):
    memory = memory_of(model, make_batch)
    main, seeing, other = groups_of(model, memory)
    bias = model.decoder.attention_bias
    mine = model.decoder([main, seeing, other], memory)
    assert bias.asked == [each for layer in range(3) for each in ((layer, 12, 12), (layer, 8, 20))]
    model.decoder.attention_bias = None
    plain = model.decoder([main, seeing, other], memory)
    for found, without in zip(mine[:2], plain[:2], strict=True):
        torch.testing.assert_close(found.logits[0], without.logits[0])
        assert not torch.allclose(found.logits[-1], without.logits[-1])
    assert torch.equal(mine[2].logits, plain[2].logits)


def test_a_bias_of_the_group_takes_its_place(model, make_batch):
    memory = memory_of(model, make_batch)
    main, _, other = groups_of(model, memory)
    own = PerHead()
    biased = [replace(main, attention_bias=own), replace(other, attention_bias=own)]
    one, two = model.decoder(biased, memory)
    assert model.decoder.attention_bias.asked == []
    assert len(own.asked) == 6
    torch.testing.assert_close(one.logits, two.logits)


def test_evaluation_is_as_training(model, make_batch):
    """Without dropout: what the main queries learn with other groups is what they find alone."""
    batch = make_batch([1, 1])
    with torch.no_grad():
        found = model.eval().predict(model.encode([item["image"] for item in batch]).memory)
        memory = memory_of(model, make_batch)
        mine, *_ = model.train().decoder(groups_of(model, memory), memory)
        model.decoder.attention_bias = None
        without = model.eval().predict(memory)
    torch.testing.assert_close(found.logits, mine.logits)
    torch.testing.assert_close(found.boxes, mine.boxes)
    assert not torch.allclose(found.logits[-1], without.logits[-1])


def test_one_that_has_nothing_to_say_changes_nothing(model, make_batch):
    memory = memory_of(model, make_batch)
    groups = groups_of(model, memory)
    model.decoder.attention_bias = Silent()
    silent = model.decoder(groups, memory)
    model.decoder.attention_bias = None
    for one, other in zip(silent, model.decoder(groups, memory), strict=True):
        assert torch.equal(one.logits, other.logits)


def seeing_by_hand(table: Tensor, rows: Tensor, keys: Tensor, attention: nn.Module) -> Tensor:
    """Attention of one query after another, each over the keys that it may see."""
    query, _, _ = attention.project((rows, 2), (rows, 1))
    _, key, value = attention.project((keys, 2), (keys, 1))
    found = torch.zeros_like(query)
    for row in range(rows.shape[1]):
        start = row // 2 * 2  # blocks of two
        seen = [start, start + 1, *range(rows.shape[1], keys.shape[1])]
        scores = torch.einsum("bhd,bnhd->bhn", query[:, row], key[:, seen])
        scores = scores / query.shape[-1] ** 0.5 + table[:, row, seen]
        found[:, row] = torch.einsum("bhn,bnhd->bhd", scores.softmax(-1), value[:, seen])
    return attention.out_proj(found.flatten(2))


def test_blocks_that_see_the_main_queries_by_hand():
    attention, bias = SelfAttention(dim=16, num_heads=HEADS), PerHead()
    x, position = torch.randn(3, 9, 16), torch.zeros(3, 9, 16)
    spans = [Span(1, 5, bias=bias), Span(2, 2, sees=(0,), bias=bias)]
    found = attention(x, position, Layout(spans, layer=1))
    keys = torch.cat([x[:, 5:], x[:, :5]], 1)
    expected = seeing_by_hand(bias.table, x[:, 5:], keys, attention)
    torch.testing.assert_close(found[:, 5:], expected, rtol=0, atol=1e-6)


def test_recomputed_activations_are_the_same(tiny_model, make_batch):
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model(DINO, decoder__checkpointing=checkpointing)
        torch.manual_seed(0)
        model.decoder.attention_bias = BoxRelation(num_heads=HEADS)
        losses = model(make_batch([2, 1]))
        sum(losses.values()).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    kept, recomputed = gradients
    assert kept["decoder.attention_bias.proj.weight"].any()
    for name, grad in kept.items():
        torch.testing.assert_close(recomputed[name], grad, msg=name)


@pytest.mark.parametrize("counts", [[2, 1], [0, 0]])
def test_beside_all_schemes(tiny_model, make_batch, counts):
    nodes = LazyConfig.load(str(CONFIGS / "schemes.py"))
    nodes.hybrid_branch.num_queries = 24
    schemes = [nodes.hybrid_branch, nodes.group_detr, nodes.hybrid_layer, nodes.denoising]
    model = tiny_model(PLUS_PLUS, schemes=schemes)
    model.decoder.attention_bias = BoxRelation(num_heads=HEADS)
    losses = model(make_batch(counts))
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad.isfinite().all() for p in model.decoder.attention_bias.parameters())


def test_it_is_kept_in_a_checkpoint_for_inference(tiny_model):
    model = tiny_model(PLUS_PLUS, schemes=[])
    model.decoder.attention_bias = BoxRelation(num_heads=HEADS)
    names = [name for name in model.state_dict() if "attention_bias" in name]
    assert names == ["decoder.attention_bias.proj.weight", "decoder.attention_bias.proj.bias"]
    only_training = tuple(model.training_only_keys())
    assert not any(name.startswith(only_training) for name in names)
    # A training may start from weights that have none.
    assert all(name.startswith(tuple(model.optional_keys())) for name in names)
