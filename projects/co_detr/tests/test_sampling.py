"""Random rows in tensors of a fixed size."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from draws import in_order

from hdetr_d2.projects.co_detr import RandomDraw
from hdetr_d2.projects.co_detr.sampling import sample

# Positives 1, 4, 5 with targets 0, 1, 0; row 2 has no loss.
ASSIGNMENT = torch.tensor([[-1, 0, -2, -1, 1, 0, -1]])


@pytest.mark.parametrize(
    ("positives", "total", "rows", "assignment"),
    [
        (2, 4, [1, 4, 0, 3], [0, 1, -1, -1]),
        (9, 5, [1, 4, 5, 0, 3], [0, 1, 0, -1, -1]),
        (0, 2, [0, 3], [-1, -1]),
        (1, 3, [1, 0, 3], [0, -1, -1]),
    ],
)
def test_the_first_rows(positives, total, rows, assignment):
    found = sample(ASSIGNMENT, positives, total, in_order)
    assert found.rows.tolist() == [rows]
    assert found.assignment.tolist() == [assignment]


def test_too_few_rows_leave_padding():
    found = sample(ASSIGNMENT, 2, 7, in_order)
    assert found.assignment.tolist() == [[0, 1, -1, -1, -1, -2, -2]]
    assert found.rows[0, :5].tolist() == [1, 4, 0, 3, 6]
    assert sample(ASSIGNMENT, 50, 100, in_order).assignment[0, :6].tolist() == [0, 1, 0, -1, -1, -1]


def test_images_differ_in_what_they_have():
    assignment = torch.tensor([[0, 1, 2, -1], [-1, -1, -1, -1], [-2, -2, -2, -2], [-2, 0, -2, -1]])
    found = sample(assignment, 2, 3, in_order)
    assert found.assignment.tolist() == [[0, 1, -1], [-1, -1, -1], [-2, -2, -2], [0, -1, -2]]


def test_values_of_the_rows():
    values = torch.arange(14.0).view(1, 7, 2)
    found = sample(ASSIGNMENT, 1, 2, in_order).pick(values)
    assert found.tolist() == [[[2, 3], [0, 1]]]


def test_chance_is_even_and_repeatable():
    taken = torch.zeros(7)
    draw = RandomDraw(torch.Generator().manual_seed(5))
    for _ in range(3000):
        rows, assignment = sample(ASSIGNMENT, 1, 2, draw)
        assert assignment[0, 0] >= 0
        assert assignment[0, 1] == -1
        taken[rows[0]] += 1
    assert taken[2] == 0
    # A third each, with a standard deviation of 26.
    assert ((taken[[0, 3, 6, 1, 4, 5]] - 1000).abs() < 150).all()
    again = [sample(ASSIGNMENT, 1, 2, RandomDraw(torch.Generator().manual_seed(5))) for _ in "ab"]
    assert torch.equal(again[0].rows, again[1].rows)
