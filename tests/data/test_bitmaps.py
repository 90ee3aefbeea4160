"""Reductions and resizing of masks, beside those of PyTorch and torchvision."""

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from hdetr_d2.data.bitmaps import any_of, areas, resize, tight_boxes


def masks(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(count, height, width) < 0.3


@pytest.mark.parametrize("count", [0, 1, 5])
def test_reductions_are_those_of_pytorch(count: int) -> None:
    whole = masks(count, 12, 17)
    for some in (whole, whole[:, 2:9, 1:16], whole.flip(2)):
        assert areas(some).equal(some.flatten(1).sum(1))
        for dims in ((0,), (1,), (2,), (1, 2)):
            assert any_of(some, *dims).equal(some.any(dims))


def test_tight_boxes() -> None:
    two = torch.zeros(2, 5, 7, dtype=torch.bool)
    two[0, 1, 2] = two[0, 3, 6] = True
    two[1, 4, 0] = True
    assert tight_boxes(two).tolist() == [[2, 1, 7, 4], [0, 4, 1, 5]]
    assert tight_boxes(two[:0]).shape == (0, 4)


@pytest.mark.parametrize("side", [1, 7, 47, 480])
def test_a_resized_mask_is_that_of_torchvision(side: int) -> None:
    whole = masks(2, side, 33)
    for size in ([1, 1], [side, 33], [2 * side, 66], [side + 1, 31], [333, 100], [799, 1333]):
        assert resize(whole, size).equal(F.resize(tv_tensors.Mask(whole), size))
    assert resize(whole[:0], [5, 6]).shape == (0, 5, 6)
