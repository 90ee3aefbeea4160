"""Masks that are brought to the size of the image when they are asked for: bit for bit those that
PyTorch and pycocotools make at once.
"""

import copy
import pickle

import numpy as np
import pycocotools.mask as mask_utils
import pytest
import torch
import torch.nn.functional as F
from detectron2.structures import Instances

from hdetr_d2.structures import ScaledMasks

# (h, w) that the model was fed, (H, W) of the original: larger, smaller, both, the same, lines.
SIZES = [
    ((3, 5), (7, 11)),
    ((40, 53), (123, 160)),
    ((53, 40), (20, 17)),
    ((30, 20), (10, 90)),
    ((20, 30), (20, 30)),
    ((1, 9), (4, 1)),
    ((9, 1), (1, 4)),
    ((1, 1), (1, 1)),
]


def some(fed, count=6):
    """None, all, noise of three densities, and an object that touches the edges."""
    rng = torch.Generator().manual_seed(3)
    shares = torch.tensor([0.0, 1.0, 0.03, 0.5, 0.97, 0.0])[:, None, None]
    small = torch.rand(count, *fed, generator=rng) < shares
    small[5, fed[0] // 2 :, fed[1] // 3 :] = True
    return small


def pasted(small, size):
    return F.interpolate(small.to(torch.uint8)[None], size)[0].bool()


@pytest.mark.parametrize(("fed", "size"), SIZES)
def test_pixels_and_run_lengths(fed, size):
    small = some(fed)
    masks, expected = ScaledMasks(small, size), pasted(small, size)
    assert torch.equal(masks.tensor, expected)
    assert [torch.equal(*pair) for pair in zip(masks, expected, strict=True)] == [True] * 6
    for rle, mask in zip(masks.rles(), expected.numpy(), strict=True):
        encoded = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
        assert rle == {"size": [*size], "counts": encoded["counts"].decode()}


def test_run_lengths_by_hand():
    """Of [[0, 1], [1, 1]], twice as large: columns 0011, 0011, 1111, 1111."""
    (rle,) = ScaledMasks(torch.tensor([[[False, True], [True, True]]]), (4, 4)).rles()
    expected = mask_utils.frPyObjects({"size": [4, 4], "counts": [2, 2, 2, 10]}, 4, 4)
    assert rle == {"size": [4, 4], "counts": expected["counts"].decode()}


def test_none():
    masks = ScaledMasks(some((4, 6))[:0], (8, 9))
    assert (len(masks), masks.shape, masks.rles(), list(masks)) == (0, (0, 8, 9), [], [])
    assert masks.tensor.shape == (0, 8, 9)


def test_in_instances():
    """What Detectron2 does with a field: choose, move, join."""
    small = some((4, 6))
    found = Instances((8, 9), pred_masks=ScaledMasks(small, (8, 9)), scores=torch.arange(6))
    expected = pasted(small, (8, 9))
    for item in (slice(1, 4), torch.tensor([4, 0]), found.scores > 2):
        assert torch.equal(found[item].pred_masks.tensor, expected[item])
    both = Instances.cat([found.to("cpu")[:2], found[2:]])
    assert torch.equal(both.pred_masks.tensor, expected)
    assert torch.equal(found[3].pred_masks[0], expected[3])


def test_as_a_tensor():
    small = some((4, 6))
    masks, expected = ScaledMasks(small, (8, 9)), pasted(small, (8, 9))
    assert masks.dtype == torch.bool
    assert np.array_equal(np.asarray(masks), expected.numpy())
    assert np.array_equal(masks.cpu().numpy(), expected.numpy())
    assert torch.equal(masks, expected)
    assert torch.equal(masks[:, 2:5, ::2], expected[:, 2:5, ::2])
    assert not (masks != expected).any() and (masks == expected).all()
    assert masks.float().sum() == expected.sum() == torch.sum(masks)


@pytest.mark.parametrize(
    "twin", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies(twin):
    masks = ScaledMasks(some((4, 6)), (8, 9))
    assert torch.equal(twin(masks).tensor, masks.tensor)
