"""Encoder geometry, query selection and the decoder's groups."""

import math
import sys
from pathlib import Path

import pytest
import torch

from hdetr_d2.modeling.transformer.geometry import (
    as_maps,
    cell_centres,
    cells_of,
    padding_of,
    valid_ratios_of,
)
from hdetr_d2.modeling.transformer.proposals import DINOQueries
from hdetr_d2.structures import Match, Memory, Queries, QueryGroup

sys.path.insert(0, str(Path(__file__).parent))
from main_group import memory_of


def random_group(name, queries, dim=32, batch=2):
    return QueryGroup(
        name=name,
        queries=Queries(
            torch.randn(batch, queries, dim),
            torch.randn(batch, queries, dim),
            torch.rand(batch, queries, 4),
        ),
        assigner=Match((1, 1, 1)),
    )


def test_padding_and_ratios_of_a_level():
    padding = torch.zeros(1, 8, 8, dtype=torch.bool)
    padding[:, 6:] = True  # two of eight rows
    padding[:, :, 4:] = True  # half of the columns
    shapes = [(4, 4), (2, 1)]
    padded = padding_of(padding, cells_of(shapes, padding), shapes)
    first, second = as_maps(padded, shapes)
    assert first[0].tolist() == [[False, False, True, True]] * 3 + [[True] * 4]
    assert second[0].tolist() == [[False], [False]]
    assert valid_ratios_of(padded, shapes).tolist() == [[[0.5, 0.75], [1.0, 1.0]]]


def test_cells_are_counted_row_by_row_and_level_by_level():
    cells = cells_of([(1, 2), (3, 2)], torch.zeros(()))
    assert cells.tolist() == [[0, 0], [1, 0], [0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [1, 2]]


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (1, 1), (667, 1066)])
@pytest.mark.parametrize("stride", [4, 8, 32, 64])
def test_the_padding_of_a_level_is_that_of_nearest_pixels(size, stride):
    padding = torch.zeros(1, *size, dtype=torch.bool)
    padding[:, size[0] // 2 :] = True
    padding[:, :, size[1] * 3 // 4 // stride * stride :] = True
    cells = tuple(-(-side // stride) for side in size)
    expected = torch.nn.functional.interpolate(padding[:, None].float(), cells)[:, 0].bool()
    found = padding_of(padding, cells_of([cells], padding), [cells])
    assert torch.equal(found.view(1, *cells), expected)


def test_cell_centres_count_from_the_unpadded_part():
    shapes, ratios = [(1, 2), (2, 1)], torch.tensor([[[0.5, 1.0], [1.0, 1.0]]])
    centres = cell_centres(cells_of(shapes, ratios), ratios, shapes)
    assert centres.tolist() == [[[0.5, 0.5], [1.5, 0.5], [0.5, 0.25], [0.5, 0.75]]]


def test_groups_do_not_see_each_other(tiny_model, make_batch):
    model = tiny_model().eval()
    memory = memory_of(model, make_batch, [1, 1])
    one, other = random_group("", 5), random_group("other", 7)
    alone = model.decoder([one], memory)[0]
    together, second = model.decoder([one, other], memory)
    assert together.logits.shape == (3, 2, 5, 3) and second.boxes.shape == (3, 2, 7, 4)
    torch.testing.assert_close(alone.logits, together.logits)
    torch.testing.assert_close(alone.boxes, together.boxes)


def test_look_forward_twice_changes_gradients_and_not_boxes(tiny_model, make_batch):
    plain, twice = tiny_model(decoder__look_forward_twice=False), tiny_model()
    group = random_group("", 5)
    boxes, grads = [], []
    for model in (plain, twice):
        predictions = model.decoder([group], memory_of(model, make_batch, [1, 1]))[0]
        predictions.boxes[1].sum().backward()
        boxes.append(predictions.boxes)
        grads.append(model.decoder.heads.box_heads[0][-1].weight.grad)
    torch.testing.assert_close(*boxes)
    assert (grads[0] == 0).all()  # the boxes of layer 1 do not reach the box head of layer 0 ...
    assert grads[1].abs().sum() > 0  # ... unless one looks forward twice


def test_two_stage_takes_the_best_proposals_in_order(tiny_model, make_batch):
    model = tiny_model()
    memory = memory_of(model, make_batch, [1, 1])
    selection = model.query_selection(memory, [model.query_selection.make_slots(4)])
    scores = selection.proposals.logits[0, ..., 0]
    best = scores.topk(16, dim=1).indices[..., None].expand(-1, -1, 4)
    boxes = selection.proposals.boxes[0].gather(1, best)
    torch.testing.assert_close(
        torch.cat([selection.main.reference, selection.extra[0].reference], 1), boxes
    )
    assert not selection.main.reference.requires_grad


def test_proposals_outside_the_image_become_the_whole_box(tiny_model):
    model = tiny_model()
    padding = torch.tensor([[False, True]])
    shapes, ratios = ((1, 2),), torch.tensor([[[0.5, 1.0]]])
    centres = cell_centres(cells_of(shapes, ratios), ratios, shapes)
    memory = Memory(torch.randn(1, 2, 32), padding, shapes, ratios, centres=centres)
    _, anchors = model.query_selection._candidates(memory)
    torch.testing.assert_close(anchors[0, 0].sigmoid(), torch.tensor([0.5, 0.5, 0.05, 0.05]))
    assert (anchors[0, 1] == math.inf).all()


def test_single_stage_references_are_learned_points(tiny_model, make_batch):
    model = tiny_model("common/models/deformable_detr.py").eval()
    selection = model.query_selection(memory_of(model, make_batch, [1, 1]))
    assert selection.main.reference.shape == (2, 12, 2) and selection.proposals is None
    first = model.decoder(
        [QueryGroup(name="", queries=selection.main, assigner=Match((1,) * 3))],
        memory_of(model, make_batch, [1, 1]),
    )[0]
    # A new model predicts boxes at its reference points, of a size near sigmoid(-2).
    torch.testing.assert_close(first.boxes[0, ..., :2], selection.main.reference, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        first.boxes[..., 2:], torch.full((3, 2, 12, 2), 1 / (1 + math.exp(2)))
    )


def test_a_group_can_see_only_what_is_there(tiny_model, make_batch):
    model = tiny_model()
    group = random_group("copies", 5)
    group.sees = ("",)
    with pytest.raises(ValueError, match=r"'copies' sees \[''\], but there are \['copies'\]"):
        model.decoder([group], memory_of(model, make_batch, [1, 1]))


DINO = "common/models/dino.py"


def test_dino_takes_the_proposals_of_the_best_class(tiny_model, make_batch):
    model = tiny_model(DINO)
    torch.nn.init.normal_(model.query_selection.heads.class_heads[0].weight)
    memory = memory_of(model, make_batch, [1, 1])
    extra = model.query_selection.make_slots(4)
    selection = model.query_selection(memory, [extra])
    # All of the main queries learn their classes, and only they; they are in the order of scores.
    proposals = selection.proposals
    assert proposals.logits.shape == (1, 2, 12, 3)
    best = proposals.logits[0].amax(-1)
    assert (best[:, :-1] >= best[:, 1:]).all()
    torch.testing.assert_close(proposals.boxes[0], selection.main.reference)
    assert proposals.boxes.requires_grad and not selection.main.reference.requires_grad
    for queries, slots in (
        (selection.main, model.query_selection.slots),
        (selection.extra[0], extra),
    ):
        assert torch.equal(queries.content, slots.table.expand(2, -1, -1))
        assert queries.position is None


def test_dino_norms_what_it_reports_and_not_what_it_moves_by(tiny_model, make_batch):
    model = tiny_model(DINO)
    decoder = model.decoder
    torch.nn.init.normal_(decoder.heads.box_heads[0].last.weight)
    torch.nn.init.normal_(decoder.norm.weight)  # a new one changes nothing after a layer's own norm
    seen = []
    decoder.layers[0].register_forward_hook(lambda _, args, x: seen.append(x))
    decoder.layers[1].register_forward_pre_hook(lambda _, args: seen.append(args[4][:, :, 0]))
    group = random_group("", 5)
    group.queries.position = None
    predictions = decoder([group], memory_of(model, make_batch, [1, 1]))[0]
    states, second = seen
    for state, boxes in ((decoder.norm(states), predictions.boxes[0]), (states, second)):
        delta = decoder.heads.box_deltas(0, state)
        start = group.queries.reference
        torch.testing.assert_close(boxes, (torch.logit(start, eps=1e-3) + delta).sigmoid())
    assert not second.requires_grad
    assert not torch.allclose(predictions.boxes[0], second, atol=1e-3)


def test_dino_makes_positions_of_the_references_of_each_layer(tiny_model, make_batch):
    model = tiny_model(DINO)
    torch.nn.init.normal_(model.decoder.heads.box_heads[0].last.weight)
    seen = []
    for layer in model.decoder.layers:
        layer.register_forward_pre_hook(lambda _, args: seen.append((args[1], args[4])))
    group = random_group("", 5)
    group.queries.position = None
    model.decoder([group], memory_of(model, make_batch, [1, 1]))
    for position, reference in seen:
        torch.testing.assert_close(position, model.decoder.position(reference[:, :, 0]))
    assert not torch.equal(seen[0][0], seen[1][0])


def test_learned_anchors_are_boxes_that_learn_and_need_no_position(tiny_model, make_batch):
    model = tiny_model("common/models/dab_deformable_detr.py").eval()
    memory = memory_of(model, make_batch, [1, 1])
    main = model.query_selection(memory).main
    table = model.query_selection.slots.table
    assert main.position is None and main.content.shape == (2, 12, 32)
    assert torch.equal(main.reference[1], table[:, 32:].sigmoid())
    (found,) = model.decoder([QueryGroup(name="", queries=main, assigner=Match((1,) * 3))], memory)
    torch.testing.assert_close(found.boxes[0], main.reference)  # where a new model begins
    found.logits.sum().backward()
    assert table.grad[:, 32:].abs().sum() > 0


class PlacedQueries(torch.nn.Module):
    """Contents of queries at given proposals."""

    def __init__(self, selection):
        super().__init__()
        self.selection = selection

    def forward(self, reference):
        slots = [self.selection.slots, self.selection.slots]
        return [each.content for each in self.selection.queries(slots, [3, 2], reference)]


def test_queries_are_traced_for_any_number_of_images():
    selection = DINOQueries(num_queries=3, dim=4, heads=torch.nn.Identity())
    sizes = {"reference": {0: torch.export.Dim("batch", max=64)}}
    program = torch.export.export(
        PlacedQueries(selection), (torch.rand(2, 5, 4),), dynamic_shapes=sizes
    )
    first, second = program.module()(torch.rand(7, 5, 4))
    table = selection.slots.table
    assert torch.equal(first, table.expand(7, 3, 4))
    assert torch.equal(second, table[:2].expand(7, 2, 4))
