"""What is counted as leaving a block."""

import torch
from ms_deform_attn_sums import cells_of_corners, order_of_queries, sums_of_blocks


def test_bands_column_by_column() -> None:
    order = order_of_queries(((9, 2), (1, 2)))
    assert order.tolist() == [*range(0, 16, 2), *range(1, 16, 2), 16, 17, 18, 19]


def test_cells_around_a_sample() -> None:
    # In the middle of 2 x 2 cells; at the top left corner of a level of 1 x 3 cells; outside.
    locations = torch.tensor([[[0.5, 0.5]], [[0.1, 0.2]]]).view(1, 1, 1, 2, 1, 2)
    cells = cells_of_corners(locations, ((2, 2), (1, 3)))
    assert cells.flatten().tolist() == [0, 1, 2, 3, -1, -1, -1, 4]
    assert bool((cells_of_corners(locations + 2, ((2, 2), (1, 3))) == -1).all())


def test_a_cell_leaves_a_block_once_or_once_a_part() -> None:
    # Two blocks of two queries, one head, one sample: eight terms in each, four for each team.
    same, other = [0, 1, 2, 3], [4, 5, -1, -1]
    cells = torch.tensor([same, same, same, other]).view(1, 4, 1, 4)
    # In parts of five: 0 0 1 1 2 | 2 3 3 and 0 1 2 | 3 4 5.
    assert sums_of_blocks(cells, torch.arange(4), 2) == 5 + 6
    # Of one query each: nothing meets.
    assert sums_of_blocks(cells, torch.arange(4), 1) == 14


def test_terms_of_different_rounds_do_not_meet() -> None:
    cells = torch.zeros(1, 1, 1, 64, dtype=torch.long)
    assert sums_of_blocks(cells, torch.arange(1), 1) == 2
