"""The split of losses by two normal distributions."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from scenes import blank_pyramid
from slow_mixture import slow_fit

from hdetr_d2.projects.co_detr.anchors import square_anchors
from hdetr_d2.projects.co_detr.assigners import assign_by_mixture
from hdetr_d2.projects.co_detr.assigners.mixture import Mixture, smaller_mode

INF = float("inf")


def test_two_heaps():
    values = torch.tensor([[1.0, 1.1, 1.2, 5.0, 5.1, 5.2, INF]])
    # The smaller ones, up to where they are densest: their middle.
    assert smaller_mode(values, values.isfinite()).int().tolist() == [[1, 1, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([INF, INF], [False, False]),
        ([3.0, INF], [True, False]),
        ([INF, 2.0, INF], [False, True, False]),
        ([2.0, 2.0], [True, True]),
        ([9.0, 1.0], [False, True]),
    ],
)
def test_few_values(values, expected):
    values = torch.tensor(values)
    assert smaller_mode(values, values.isfinite()).tolist() == expected


def test_the_fit_is_that_of_a_slow_loop():
    rows = torch.cat([torch.rand(6, 12), 2 + torch.rand(6, 8)], 1).double()
    rows[1:4, 8:] *= torch.rand(3, 12)
    mixture = Mixture(rows, torch.ones_like(rows, dtype=torch.bool))
    for _ in range(40):
        mixture.step()
    assert not mixture.moving.any()
    for row, values in enumerate(rows.tolist()):
        for component, expected in enumerate(slow_fit(values)):
            found = (mixture.shares, mixture.means, mixture.variances)
            assert [each[component, row].item() for each in found] == pytest.approx(expected)


def test_padding_does_not_matter():
    values = torch.rand(3, 9) * 4
    alone = smaller_mode(values, values.isfinite())
    padded = torch.cat([values, torch.full((3, 5), INF)], 1)
    assert torch.equal(smaller_mode(padded, padded.isfinite())[:, :9], alone)


def test_steps_are_enough():
    values = torch.rand(500, 45) + (torch.rand(500, 45) < 0.6) * torch.rand(500, 1) * 3
    real = torch.arange(45) < torch.randint(2, 46, (500, 1))
    few, many = (smaller_mode(values, real, steps) for steps in (30, 300))
    assert (few == many).all(1).float().mean() > 0.99


def test_candidates_of_a_target():
    anchors = square_anchors().at(blank_pyramid([(32, 32)], strides=(8, 16)).cells)
    candidates = torch.full((1, 20), -1)
    candidates[0, :4] = 0  # of the finer level
    candidates[0, 16:18] = 0  # of the coarser
    candidates[0, 6] = 2
    candidates[0, 15] = -2
    losses = torch.zeros(1, 20)
    losses[0, :4] = torch.tensor([1.0, 9, 1.2, 9.1])
    losses[0, 16:18] = torch.tensor([1.1, 9.2])
    found = assign_by_mixture(candidates, losses, 3, anchors)[0]
    assert (found >= 0).nonzero()[:, 0].tolist() == [0, 6, 16]  # 1.0 and 1.1, and a single one
    assert found[[0, 6, 16]].tolist() == [0, 2, 0]
    assert found[15] == -2
    assert (found == -1).sum() == 16
    # With one candidate of a level, the best one, 9.1 and 1.2 are no longer there.
    fewer = assign_by_mixture(candidates, losses, 3, anchors, per_level=1)[0]
    assert set((fewer >= 0).nonzero()[:, 0].tolist()) <= {0, 6, 16}
