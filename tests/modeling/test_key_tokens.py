"""Every decoder asks the tokens of a group in each layer, and of no other group."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from hdetr_d2.modeling.scheme_parts import main_group
from hdetr_d2.structures import Match

MODELS = ["common/models/deformable_detr_pp.py", "common/models/dino.py", "common/models/detr.py"]


class Tokens(nn.Module):
    """As many as the queries that they are drawn for; remembers what it was asked."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(3, 2, 7, dim))
        self.asked: list[int] = []

    def forward(self, layer: int) -> tuple[Tensor, Tensor]:
        self.asked.append(layer)
        return self.table[layer, 0], self.table[layer, 1]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("path", MODELS)
def test_a_group_finds_its_tokens_in_every_layer(tiny_model, make_batch, path, checkpointing):
    model = tiny_model(path, encoder__sizes__dropout=0.0, schemes=[])
    memory = model.encode([item["image"] for item in make_batch([1, 1])]).memory
    model.decoder.checkpointing = checkpointing
    queries = model.query_selection(memory).main
    tokens = Tokens(queries.content.shape[-1])
    main = main_group([], queries, model.decoder.num_layers)
    group = replace(main, name="told", assigner=Match((1, 1, 1)), tokens=tokens)
    plain, found = model.decoder([main, group], memory)
    assert tokens.asked == [0, 1, 2]
    torch.testing.assert_close(plain.logits, model.decoder([main], memory)[0].logits)
    assert not torch.isclose(found.logits, plain.logits).all(3).any(2).any()
    found.logits.square().sum().backward()
    assert (tokens.table.grad.abs().sum(-1) > 0).all()
