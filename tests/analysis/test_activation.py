"""Class activation of a score whose derivative is known."""

import torch

from hdetr_d2.analysis.activation import activation_maps
from hdetr_d2.structures import Memory

TOKENS = torch.tensor([[[1.0, 2.0], [3.0, -4.0], [5.0, 1.0]]])


def memory(padding: list[bool]) -> Memory:
    return Memory(TOKENS, torch.tensor([padding]), ((1, 2), (1, 1)), torch.ones(1, 2, 2))


def test_channels_count_as_the_score_rises_with_them_on_their_level() -> None:
    rise = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [-1.0, 3.0]]])
    fine, coarse = activation_maps(memory([False] * 3), lambda m: (m.tokens * rise).sum())
    # On the fine level the means of the slopes are (1, 0.5): 1 + 1 and 3 - 2.
    assert fine.tolist() == [[2, 1]]
    assert coarse.tolist() == [[0]]  # -5 + 3, which is none
    assert not fine.requires_grad


def test_what_is_padded_has_none() -> None:
    fine, _ = activation_maps(memory([False, True, False]), lambda m: m.tokens.sum())
    assert fine.tolist() == [[3, 0]]


def test_a_detector_that_finds_nothing() -> None:
    for score in (lambda m: torch.zeros(()), lambda m: torch.zeros((), requires_grad=True)):
        assert not any(level.any() for level in activation_maps(memory([False] * 3), score))
