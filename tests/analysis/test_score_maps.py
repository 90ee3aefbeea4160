"""Score maps of levels by hand."""

import torch

from hdetr_d2.analysis import score_map
from hdetr_d2.analysis.score_maps import feature_norms
from hdetr_d2.structures import Memory


def test_each_level_is_divided_by_its_highest_value() -> None:
    fine, coarse = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[7.0]])
    scores = score_map([fine, coarse], (2, 2), (2, 2))
    torch.testing.assert_close(scores, (fine / 4 + 1) / 2)


def test_a_level_is_resized_to_the_image_and_its_padding_cut_off() -> None:
    scores = score_map([torch.tensor([[0.0, 4.0]])], (2, 4), (1, 3))
    torch.testing.assert_close(scores, torch.tensor([[0.0, 0.25, 0.75]]))


def test_zeros_stay_zeros() -> None:
    assert not score_map([torch.zeros(2, 3)], (4, 6), (4, 6)).any()


def test_lengths_of_features_without_the_padded_ones() -> None:
    tokens = torch.tensor([[[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [9.0, 9.0], [0.0, 1.0]]])
    padding = torch.tensor([[False, False, False, True, False]])
    memory = Memory(tokens, padding, ((2, 2), (1, 1)), torch.ones(1, 2, 2))
    fine, coarse = feature_norms(memory)
    assert fine.tolist() == [[5, 1], [2, 0]]
    assert coarse.tolist() == [[1]]
