"""Which candidates become queries: their number, their order, and what is padding."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from draws import in_order

from hdetr_d2.projects.co_detr.draw import RandomDraw
from hdetr_d2.projects.co_detr.heads import Candidates
from hdetr_d2.projects.co_detr.positives import pick_positives
from hdetr_d2.structures import BACKGROUND, NO_LOSS


def candidates(assignment):
    """Boxes and features tell the place of a candidate."""
    assignment = torch.tensor(assignment)
    place = torch.arange(assignment.shape[1]).float().expand(assignment.shape)
    return Candidates(place[..., None].expand(-1, -1, 4), place[..., None] * 10, assignment)


def pick(assignment, draw=in_order, **options):
    return pick_positives(candidates(assignment), draw, **options)


def places(positives):
    return positives.boxes[..., 0].int().tolist()


def test_positives_come_first_and_the_background_fills_up():
    assignment = [[-1, 1, -1, 0, -1, 0], [-1, -1, 2, -1, -1, -1]]
    found = pick(assignment, most=5, least=2)
    assert places(found)[0][:3] == [1, 3, 5] and places(found)[1][:3] == [2, 0, 1]
    assert found.valid.tolist() == [[True, True, True, False, False]] * 2
    assert found.assignment.tolist() == [[1, 0, 0, -2, -2], [2, -1, -1, -2, -2]]
    assert torch.equal(found.features[..., 0], 10 * found.boxes[..., 0])


def test_there_are_never_more_than_fit():
    found = pick([[0] * 6, [-1] * 6], most=4, least=1)
    assert found.assignment.tolist() == [[0] * 4, [BACKGROUND] * 4]
    assert found.valid.all()


def test_without_any_positive_some_of_the_background_are_left():
    found = pick([[-1] * 6, [-1] * 6], most=5, least=3)
    assert found.assignment.tolist() == [[-1, -1, -1, -2, -2]] * 2


def test_what_is_no_candidate_is_not_taken():
    found = pick([[-2, 0, -2, -1], [0, 0, 0, -1]], most=4, least=1)
    assert found.assignment.tolist() == [[0, BACKGROUND, NO_LOSS, NO_LOSS], [0, 0, 0, NO_LOSS]]
    assert found.valid.tolist() == [[True, True, False, False], [True, True, True, False]]


def test_fewer_candidates_than_queries_are_all_there():
    found = pick([[0, -1, -1]], most=300)
    assert found.assignment[0, :3].tolist() == [0, -1, -1]
    assert (found.assignment[0, 3:] == NO_LOSS).all() and found.valid.sum() == 3


def test_a_generator_fixes_the_draw():
    many = [[0] * 50 + [-1] * 50]

    def drawn(seed):
        draw = RandomDraw(torch.Generator().manual_seed(seed))
        return places(pick(many, draw, most=20))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len({*drawn(1)[0]}) == 20 and max(drawn(1)[0]) < 50


def test_every_positive_is_drawn_as_often_as_any_other():
    many = [[0] * 10 + [-1] * 10] * 2000
    found = pick(many, RandomDraw(torch.Generator().manual_seed(0)), most=4, least=1)
    counts = torch.bincount(found.boxes[..., 0].long().flatten(), minlength=20)
    assert counts[10:].sum() == 0
    assert (counts[:10] / 2000 - 0.4).abs().max() < 0.05  # four standard deviations
