"""Panoptic quality on a picture of ten pixels, by hand. Class 0 is a thing, 1 and 2 are stuff."""

import math

import numpy as np
import pytest

from hdetr_d2.evaluation.panoptic_quality import count_segments, qualities

TRUTH = np.array([[5, 5, 5, 5, 7, 7, 7, 7, 0, 0]])
SEGMENTS = [{"id": 5, "category_id": 0}, {"id": 7, "category_id": 1}]


def count(predicted, segments, true_segments=SEGMENTS, truth=TRUTH):
    return count_segments(truth, true_segments, np.array([predicted]), segments, 3).tolist()


def test_found_missed_and_wrong():
    segments = [{"id": 1, "category_id": 0}, {"id": 2, "category_id": 2}]
    # Three of the four pixels of the thing are found; the stuff is taken for another class.
    counts = count([1, 1, 1, 2, 2, 2, 2, 2, 0, 0], segments)
    assert counts == [[0.75, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]


def test_half_of_the_union_is_not_enough():
    counts = count([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [{"id": 1, "category_id": 0}])
    assert counts[0] == [0, 0, 1, 1]


def test_what_lies_on_void_is_no_part_of_the_union():
    counts = count([0, 0, 0, 0, 1, 1, 1, 1, 1, 1], [{"id": 1, "category_id": 1}])
    # The prediction has six pixels, two of them on void.
    assert counts[1] == [1, 1, 0, 0]


def test_predictions_on_void_or_on_a_crowd_of_their_class_count_nothing():
    crowd = [{**SEGMENTS[0], "iscrowd": 1}, SEGMENTS[1]]
    on_void = {"id": 3, "category_id": 2}
    on_crowd, of_another_class = {"id": 1, "category_id": 0}, {"id": 2, "category_id": 2}
    counts = count([1, 1, 2, 2, 0, 0, 0, 0, 3, 3], [on_crowd, of_another_class, on_void], crowd)
    assert counts == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]


def test_qualities_are_means_over_the_classes_that_are_there():
    counts = np.array([[1.5, 2, 1, 1], [0, 0, 0, 0], [0, 0, 0, 2]])
    expected = {"PQ": (1.5 / 3 + 0) / 2, "SQ": (0.75 + 0) / 2, "RQ": (2 / 3 + 0) / 2}
    assert qualities(counts) == pytest.approx({name: 100 * v for name, v in expected.items()})
    assert all(math.isnan(value) for value in qualities(np.zeros((3, 4))).values())
