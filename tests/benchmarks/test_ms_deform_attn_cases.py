"""The cases, and the bytes of which the bandwidth is computed."""

import torch
from ms_deform_attn_cases import (
    BACKWARD,
    BOTH,
    FORWARD,
    Inputs,
    Traffic,
    cell_centres,
    count_corners,
    initial_offsets,
    traffic,
)


def test_cell_centres_level_by_level() -> None:
    centres = cell_centres(((1, 2), (2, 1)))
    assert centres.tolist() == [[0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75]]


def test_initial_offsets_are_one_direction_a_head() -> None:
    offsets = initial_offsets()[:, 0]  # [M, P, 2]
    torch.testing.assert_close(offsets[0], torch.tensor([[1.0, 0], [2, 0], [3, 0], [4, 0]]))
    torch.testing.assert_close(offsets[3, 1], torch.tensor([-2.0, 2.0]))


def test_corners_in_the_image() -> None:
    # On a level of 2 x 3 cells: between four cells; over the left border; over the corner at the
    # bottom right; outside.
    points = torch.tensor([[0.5, 0.5], [0.1, 0.5], [0.95, 0.9], [1.5, 0.5]])
    counts = [count_corners(point.view(1, 1, 1, 1, 1, 2), ((2, 3),)) for point in points]
    assert counts == [4, 2, 1, 0]


def test_bytes_of_a_pass() -> None:
    """One query at the middle of 2 x 2 cells, one head of 32 channels in 16 bits, one point."""
    inputs = Inputs(
        torch.zeros(1, 4, 1, 32, dtype=torch.bfloat16),
        ((2, 2),),
        torch.full((1, 1, 1, 1, 1, 2), 0.5),
        torch.ones(1, 1, 1, 1, 1),
        torch.zeros(1, 1, 32, dtype=torch.bfloat16),
    )
    read, output = 4 * 32 * 2 + 2 * 4 + 1 * 4, 32 * 2
    one_way = Traffic(l2=4 * 32 * 2, dram=read + output)
    other_way = Traffic(l2=4 * 32 * (2 + 4), dram=2 * read + output)
    assert traffic(inputs) == {FORWARD: one_way, BACKWARD: other_way, BOTH: one_way + other_way}
