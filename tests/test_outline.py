"""Masks and boxes from the fed image to the window that the original one takes."""

import torch

from hdetr_d2.structures import Outline

FED = torch.tensor([[[1, 2, 3], [4, 5, 6]]])


def test_pixels_are_cut_and_filled() -> None:
    assert Outline(0, 0, 3, 2).pixels(FED, 0) is FED
    assert Outline(0, 0, 2, 1).pixels(FED, 0).tolist() == [[[1, 2]]]  # a letterbox
    # A crop that has lost a column on the left and a row below.
    lost = Outline(-1, 0, 3, 3).pixels(FED, 9)
    assert lost.tolist() == [[[9, 1, 2, 3], [9, 4, 5, 6], [9, 9, 9, 9]]]
    assert Outline(1, 0, 4, 2).pixels(FED, 9).tolist() == [[[2, 3, 9], [5, 6, 9]]]


def test_pixels_are_turned() -> None:
    assert Outline(3, 0, 0, 2).pixels(FED, 0).tolist() == [[[3, 2, 1], [6, 5, 4]]]
    assert Outline(0, 2, 3, 0).pixels(FED, 0).tolist() == [[[4, 5, 6], [1, 2, 3]]]
    # The first two columns, mirrored; the original image has one more beyond its right edge.
    assert Outline(2, 0, -1, 2).pixels(FED, 9).tolist() == [[[2, 1, 9], [5, 4, 9]]]


def test_masks_and_no_maps() -> None:
    assert Outline(-1, 0, 3, 2).pixels(FED > 2, False)[0, 0].tolist() == [False, False, False, True]
    assert Outline(-1, 0, 3, 2).pixels(FED[:0], 0).shape == (0, 2, 4)


def test_boxes() -> None:
    box = torch.tensor([[1.0, 0, 2, 2]])
    assert Outline(0.5, -1, 3, 2).boxes(box).tolist() == [[0.5, 1, 1.5, 3]]
    assert Outline(3, 2, 0, 0).boxes(box).tolist() == [[1, 0, 2, 2]]
    assert Outline(4, 0, 0, 2).boxes(box).tolist() == [[2, 0, 3, 2]]
    assert Outline(0, 0, 1, 1).boxes(box[:0]).shape == (0, 4)
