from collections.abc import Callable

import numpy as np
import pycocotools.mask as mask_utils
import pytest

from hdetr_d2.errors import UserError
from hdetr_d2.judging import Matches, Numbered, confusion_matrix

BOX = (10, 10, 20, 20)
NEAR = (10, 10, 20, 24)  # overlaps it by 5/6
FAR = (60, 60, 20, 20)


def test_the_better_one_takes_the_object_and_a_double_is_wrong(make_data: Callable) -> None:
    found = [(1, 1, NEAR, 0.5), (1, 1, BOX, 0.4), (1, 2, BOX, 0.9), (2, 1, BOX, 0.3)]
    matches = Matches.of(make_data([(1, 1, BOX, 0), (2, 2, FAR, 0)], found))
    order = np.argsort(matches.places)
    assert matches.places[order].tolist() == [0, 1, 2, 3]
    assert matches.objects[order].tolist() == [0, -1, -1, -1]
    assert matches.scores[order].tolist() == [0.5, 0.4, 0.9, 0.3]
    assert matches.labels[order].tolist() == [0, 0, 1, 0]
    assert matches.images[order].tolist() == [0, 0, 0, 1]
    assert matches.counts.tolist() == [1, 1]


def test_what_lies_in_a_crowd_counts_nothing(make_data: Callable) -> None:
    found = [(1, 1, (0, 0, 10, 10), 0.5), (1, 1, FAR, 0.4), (1, 2, (0, 0, 10, 10), 0.5)]
    matches = Matches.of(make_data([(1, 1, (0, 0, 40, 40), 1)], found))
    order = np.argsort(matches.places)
    assert matches.ignored[order].tolist() == [True, False, False]
    assert not matches.hits.any()
    assert matches.counts.tolist() == [0, 0]


def test_as_many_count_as_may(make_data: Callable) -> None:
    found = [(1, 1, FAR, 0.5), (1, 1, BOX, 0.4), (1, 2, BOX, 0.1)]
    data = make_data([(1, 1, BOX, 0)], found)
    assert Matches.of(data, max_dets=1).places.tolist() == [0, 2]
    assert Matches.of(data, max_dets=2).hits.sum() == 1


def test_the_least_overlap_is_enough(make_data: Callable) -> None:
    data = make_data([(1, 1, (0, 0, 10, 10), 0)], [(1, 1, (0, 0, 10, 20), 0.5)])
    assert Matches.of(data, iou=0.5).hits.all()
    assert not Matches.of(data, iou=0.51).hits.any()


def test_each_image_has_its_own(draw_data: Callable) -> None:
    data = Numbered.of(*draw_data(2, images=5))
    matches = Matches.of(data)
    found = matches.by_image(7)  # the last two have none
    assert [each.tolist() for each in found] == [
        [i for i, image in enumerate(matches.images) if image == number] for number in range(7)
    ]
    assert sum(map(len, found)) == len(matches.scores) > 0
    assert Matches.of(Numbered.of(*draw_data(2, images=0))).by_image(0) == []


@pytest.mark.parametrize("objects", [[], [(1, 1, BOX, 0)]])
def test_nothing_found(make_data: Callable, objects: list) -> None:
    matches = Matches.of(make_data(objects, []))
    assert len(matches.scores) == len(matches.hits) == 0
    assert matches.counts.tolist() == [len(objects), 0]


def test_ids_may_be_words_and_huge() -> None:
    content = {
        "images": [{"id": "b"}, {"id": "a"}],
        "categories": [{"id": 2**60, "name": "cat"}],
        "annotations": [
            {"id": "x", "image_id": "a", "category_id": 2**60, "bbox": [*BOX], "area": 400}
            | {"iscrowd": 0}
        ],
    }
    found = {"image_id": "a", "category_id": 2**60, "bbox": [*BOX], "score": 1.0}
    data = Numbered.of(content, [found])
    assert [image["id"] for image in data.images] == ["a", "b"]
    assert Matches.of(data).hits.tolist() == [True]
    assert found["category_id"] == 2**60  # the results stay


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"image_id": 7}, "object 0 has image_id 7, which the ground truth has not"),
        ({"category_id": 7}, "object 0 has category_id 7, which"),
        ({"bbox": None}, "object 0 has no 'bbox'"),
    ],
)
def test_an_object_of_nothing_is_a_sentence(change: dict, complaint: str) -> None:
    content = {"images": [{"id": 1}], "categories": [{"id": 1}]}
    entry = {"image_id": 1, "category_id": 1, "bbox": [*BOX]} | change
    annotations = [{k: v for k, v in entry.items() if v is not None}]
    with pytest.raises(UserError, match=complaint):
        Numbered.of({**content, "annotations": annotations}, [])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"image_id": 7}, "result 0 has image_id 7, which the ground truth has not"),
        ({"category_id": 3}, "result 0 has category_id 3, which"),
        ({"bbox": None}, "result 0 has no 'bbox'"),
        ({"score": None}, "result 0 has no 'score'"),
    ],
)
def test_a_stranger_is_a_sentence(change: dict, complaint: str) -> None:
    content = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": []}
    result = {"image_id": 1, "category_id": 1, "bbox": [*BOX], "score": 1.0} | change
    with pytest.raises(UserError, match=complaint):
        Numbered.of(content, [{k: v for k, v in result.items() if v is not None}])


def columns(count: int) -> dict:
    """The run lengths of the first columns of 4 x 4 pixels."""
    pixels = np.zeros((4, 4), np.uint8, order="F")
    pixels[:, :count] = 1
    encoded = mask_utils.encode(pixels)
    return {**encoded, "counts": encoded["counts"].decode()}


def test_masks_are_compared_by_their_pixels() -> None:
    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 3, 4]}
    content = {
        "images": [{"id": 1, "height": 4, "width": 4}],
        "categories": [{"id": 1}],
        "annotations": [{**box, "id": 1, "iscrowd": 0, "area": 12, "segmentation": columns(3)}],
    }
    data = Numbered.of(content, [{**box, "score": 0.5, "segmentation": columns(2)}], "segm")
    assert Matches.of(data, iou=0.6).hits.tolist() == [True]
    assert Matches.of(data, iou=0.7).hits.tolist() == [False]
    assert confusion_matrix(data, Matches.of(data), threshold=0.5).tolist() == [[1, 0], [0, 0]]
    wide = {**content, "images": [{"id": 1, "height": 4, "width": 5}]}
    found = [{**box, "score": 0.5, "segmentation": columns(2)}]
    with pytest.raises(UserError, match=r"result 0 has a mask of \[height, width\] \[4, 4\] on an"):
        Numbered.of({**wide, "annotations": []}, found, "segm")
