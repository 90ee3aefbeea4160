"""Padding queries of a group are seen by nobody, in every decoder, with and without a bias."""

from dataclasses import replace

import pytest
import torch

from hdetr_d2.structures import NO_LOSS, Counted, Match, Queries, QueryGroup

MODELS = ["common/models/deformable_detr_pp.py", "common/models/dino.py", "common/models/detr.py"]
KEPT = 5


@pytest.fixture(params=MODELS)
def model(request, tiny_model):
    return tiny_model(request.param, encoder__sizes__dropout=0.0).eval()


def groups(model, make_batch):
    """The main group; as a group with padding, whose last queries are noise; the memory."""
    images = model.preprocessing([item["image"] for item in make_batch([1, 1])])
    memory = model.encoder(model.neck(model.backbone(images.tensor)), images.padding)
    main = QueryGroup(
        name="", queries=model.query_selection(memory).main, assigner=Match((1, 1, 1))
    )
    batch, number = main.queries.content.shape[:2]
    valid = torch.arange(number).expand(batch, -1) < KEPT
    assignment = torch.full((3, batch, number), NO_LOSS)
    padded = replace(main, name="padded", assigner=Counted(assignment), valid=valid)
    return main, padded, memory


def short(queries: Queries) -> Queries:
    return queries.map(lambda part: part[:, :KEPT])


def test_the_others_predict_as_if_it_were_not_there(model, make_batch):
    main, padded, memory = groups(model, make_batch)
    alone = replace(main, queries=short(main.queries))
    with torch.no_grad():
        (expected,) = model.decoder([alone], memory)
        _, found = model.decoder([main, padded], memory)
    torch.testing.assert_close(found.logits[:, :, :KEPT], expected.logits)
    torch.testing.assert_close(found.boxes[:, :, :KEPT], expected.boxes)
    assert found.logits.isfinite().all()


def test_a_bias_comes_on_top(model, make_batch):
    main, padded, memory = groups(model, make_batch)
    table = torch.randn(12, 12)

    def bias(layer, queries, keys):
        images, length, _ = queries.content.shape
        return table[:length, :length].expand(images, -1, -1)

    alone = replace(main, queries=short(main.queries), attention_bias=bias)
    with torch.no_grad():
        (expected,) = model.decoder([alone], memory)
        (found,) = model.decoder([replace(padded, attention_bias=bias)], memory)
    torch.testing.assert_close(found.logits[:, :, :KEPT], expected.logits)


def test_where_padding_has_no_place(model, make_batch):
    main, padded, memory = groups(model, make_batch)
    with pytest.raises(ValueError, match="'padded' has padding, which the matcher"):
        replace(padded, assigner=Match((1, 1, 1)))
    with pytest.raises(ValueError, match="'padded' cannot have padding: it has 2 blocks"):
        replace(padded, blocks=2)
    with pytest.raises(ValueError, match="'' cannot see a group with padding"):
        model.decoder([replace(main, sees=("padded",)), padded], memory)
