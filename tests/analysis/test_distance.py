"""Distances of maps by hand."""

import math

import pytest
import torch

from hdetr_d2.analysis.distance import distances, kl_divergence, l2_distance, mean_distances

LEFT, RIGHT = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 2.0]])
EVEN = torch.tensor([[3.0, 3.0]])


def test_equal_maps_of_another_height_have_no_distance() -> None:
    for distance in (kl_divergence, l2_distance):
        assert float(distance(EVEN, 5 * EVEN)) == pytest.approx(0)
        assert float(distance(LEFT, 5 * LEFT)) == pytest.approx(0)


def test_by_hand() -> None:
    assert float(kl_divergence(LEFT, EVEN)) == pytest.approx(math.log(2), abs=2e-3)
    first, second = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 1.0]])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(kl_divergence(first, second)) == pytest.approx(expected, abs=1e-3)
    assert float(l2_distance(LEFT, RIGHT)) == pytest.approx(math.sqrt(2))


def test_maps_with_zeros_are_far_apart_but_not_infinitely() -> None:
    assert 5 < float(kl_divergence(LEFT, RIGHT)) < 20
    zeros = torch.zeros(1, 2)
    assert float(kl_divergence(zeros, EVEN)) == pytest.approx(0)
    assert float(l2_distance(zeros, EVEN)) == 1


def test_matrix_and_means() -> None:
    matrix = distances([LEFT, EVEN, LEFT], kl_divergence)
    assert matrix.shape == (3, 3)
    assert not matrix.diagonal().abs().gt(1e-9).any()
    assert matrix[0, 1] != matrix[1, 0]
    by_hand = (matrix[0, 1] + matrix[0, 2] + matrix[1, 0] + matrix[2, 0]) / 4
    torch.testing.assert_close(mean_distances(matrix)[0], by_hand)
