"""Every decoder asks the attention bias of a group in each layer, and of no other group."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from hdetr_d2.layers import QueryState
from hdetr_d2.modeling.transformer import Decoder
from hdetr_d2.structures import Match, Memory, QueryGroup

PLUS_PLUS = "common/models/deformable_detr_pp.py"
MODELS = ["common/models/deformable_detr.py", PLUS_PLUS, "common/models/detr.py"]


class Biased(nn.Module):
    """The same bias in every layer but the first; remembers what it was asked."""

    def __init__(self, queries: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(queries, queries))
        self.asked: list[dict] = []

    def forward(self, layer: int, queries: QueryState, keys: QueryState) -> Tensor | None:
        self.asked.append(dict(layer=layer, **queries._asdict()))
        assert queries.content.shape == queries.position.shape
        assert keys is queries
        return self.table.expand(len(queries.content), -1, -1) if layer else None


@pytest.fixture(params=MODELS)
def model(request, tiny_model):
    return tiny_model(request.param, encoder__sizes__dropout=0.0)


def inputs(model, make_batch) -> tuple[QueryGroup, Memory]:
    """The main group and the memory of a batch."""
    images = model.preprocessing([item["image"] for item in make_batch([1, 1])])
    memory = model.encoder(model.neck(model.backbone(images.tensor)), images.padding)
    return QueryGroup(
        name="", queries=model.query_selection(memory).main, assigner=Match((1, 1, 1))
    ), memory


def test_it_is_asked_for_its_own_group_in_every_layer(model, make_batch):
    main, memory = inputs(model, make_batch)
    bias = Biased(12)
    biased = replace(main, name="biased", attention_bias=bias)
    plain, found = model.decoder([main, biased], memory)
    assert [each["layer"] for each in bias.asked] == [0, 1, 2]
    assert bias.asked[0]["logits"] is None
    for layer in (1, 2):
        assert torch.equal(bias.asked[layer]["logits"], found.logits[layer - 1])
    torch.testing.assert_close(plain.logits, model.decoder([main], memory)[0].logits)
    torch.testing.assert_close(found.logits[0], plain.logits[0])
    assert not torch.allclose(found.logits[1:], plain.logits[1:])


def test_it_is_told_where_the_queries_stand(model, make_batch):
    main, memory = inputs(model, make_batch)
    bias = Biased(12)
    (found,) = model.decoder([replace(main, attention_bias=bias)], memory)
    first, *later = (each["reference"] for each in bias.asked)
    start = main.queries.reference
    assert first is None if start is None else torch.equal(first, start)
    moves = start is None or model.decoder.refine
    for layer, reference in enumerate(later):
        assert torch.equal(reference, found.boxes[layer] if moves else start)
        assert not (moves and reference.requires_grad)
    places = ([start] if start is not None and start.shape[-1] == 4 else []) + [*found.boxes]
    for each in bias.asked:
        layer, known = each["layer"], each["boxes"]
        seen = places[: len(places) - len(found.boxes) + layer][-2:]
        assert len(known) == len(seen) and all(map(torch.equal, known, seen))


def step(decoder: Decoder, group: QueryGroup, memory: Memory) -> list[Tensor]:
    """Outputs, and the gradients of the bias and of the decoder."""
    decoder.zero_grad()
    group.attention_bias.zero_grad()
    (found,) = decoder.train()([group], memory)
    (found.logits.square().sum() + found.boxes.sum()).backward(retain_graph=True)
    learned = [*group.attention_bias.parameters(), *decoder.parameters()]
    return [found.logits, *(p.grad.clone() for p in learned)]


def test_recomputed_activations_are_the_same(tiny_model, make_batch):
    model = tiny_model(PLUS_PLUS)
    main, memory = inputs(model, make_batch)
    group = replace(main, attention_bias=Biased(12))
    kept = step(model.decoder, group, memory)
    model.decoder.checkpointing = True
    asked = len(group.attention_bias.asked)
    recomputed = step(model.decoder, group, memory)
    assert len(group.attention_bias.asked) == asked + 2 * 3  # again in the backward pass
    assert group.attention_bias.table.grad.abs().sum() > 0
    for one, other in zip(kept, recomputed, strict=True):
        torch.testing.assert_close(one, other)
