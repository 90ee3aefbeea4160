"""Rows of levels."""

import torch

from hdetr_d2.projects.co_detr.levels import best_of_levels, level_of


def test_the_best_of_each_level():
    values = torch.tensor([[1.0, 3, 2, 9, 5, 7], [6, 5, 4, 3, 2, 1]])
    found, rows = best_of_levels(values, (3, 1, 2), 2)
    assert found.tolist() == [[3, 2, 9, 7, 5], [6, 5, 3, 2, 1]]
    assert rows.tolist() == [[1, 2, 3, 5, 4], [0, 1, 3, 4, 5]]
    found, rows = best_of_levels(values[:, None], (4, 2), 1, largest=False)
    assert found.tolist() == [[[1, 5]], [[3, 1]]]
    assert rows.tolist() == [[[0, 4]], [[3, 5]]]


def test_the_level_of_a_row():
    assert level_of(torch.tensor([[0, 2, 3], [5, 4, 3]]), (3, 1, 2)).tolist() == [
        [0, 0, 1],
        [2, 2, 1],
    ]
