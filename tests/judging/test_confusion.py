from collections.abc import Callable

import numpy as np

from hdetr_d2.judging import Matches, confusion_matrix

BOX = (10, 10, 20, 20)
NEAR = (10, 10, 20, 24)
FAR = (60, 60, 20, 20)


def matrix(data, threshold: float | np.ndarray = 0.0) -> list:
    return confusion_matrix(data, Matches.of(data), threshold=threshold).tolist()


def test_by_hand(make_data: Callable) -> None:
    objects = [(1, 1, BOX, 0), (1, 2, FAR, 0), (2, 2, BOX, 0), (2, 1, FAR, 0)]
    found = [
        (1, 1, NEAR, 0.9),  # right
        (1, 1, FAR, 0.8),  # a dog taken for a cat
        (2, 2, FAR, 0.7),  # and a cat for a dog
        (2, 1, (40, 0, 9, 9), 0.6),  # nothing
        (2, 2, BOX, 0.1),  # right
    ]
    data = make_data(objects, found)
    assert matrix(data) == [[1, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert matrix(data, 0.65) == [[1, 1, 0], [1, 0, 1], [0, 0, 0]]
    assert matrix(data, np.array([1.0, 0.7])) == [[0, 1, 1], [0, 0, 2], [0, 0, 0]]
    assert matrix(data, np.inf) == [[0, 0, 2], [0, 0, 2], [0, 0, 0]]


def test_its_own_class_goes_before_a_larger_overlap(make_data: Callable) -> None:
    data = make_data([(1, 1, BOX, 0)], [(1, 2, BOX, 0.9), (1, 1, NEAR, 0.1)])
    assert matrix(data) == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_crowds_and_what_lies_in_them_count_nothing(make_data: Callable) -> None:
    crowd = (1, 1, (0, 0, 50, 50), 1)
    found = [(1, 1, BOX, 0.9), (1, 2, BOX, 0.9), (1, 1, FAR, 0.9)]
    assert matrix(make_data([crowd], found)) == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]
    with_object = make_data([crowd, (1, 1, BOX, 0)], found[:1])
    assert matrix(with_object) == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_nothing(make_data: Callable) -> None:
    assert matrix(make_data([], [])) == [[0] * 3] * 3
    assert matrix(make_data([(1, 1, BOX, 0)], [])) == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
