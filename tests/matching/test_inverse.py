"""An assignment seen from the targets, by hand."""

import torch

from hdetr_d2.matching import queries_of_targets
from hdetr_d2.structures import BACKGROUND, NO_LOSS


def test_the_query_of_each_target():
    assignment = torch.tensor([[BACKGROUND, 1, NO_LOSS, 0], [2, BACKGROUND, 0, 1]])
    index, taken = queries_of_targets(assignment, 3)
    assert taken.tolist() == [[True, True, False], [True, True, True]]
    assert index[taken].tolist() == [3, 1, 2, 3, 0]


def test_of_several_queries_the_first():
    index, taken = queries_of_targets(torch.tensor([[1, 0, 1, 0, 1]]), 2)
    assert index.tolist() == [[1, 0]]
    assert taken.all()


def test_without_objects_nothing_is_taken_and_every_index_is_a_query():
    index, taken = queries_of_targets(torch.full((2, 4), BACKGROUND), 1)
    assert not taken.any()
    assert ((index >= 0) & (index < 4)).all()
