"""One segment a pixel, by hand. Classes 0 and 1 are things, 2 and 3 stuff."""

import math

import pytest
import torch

from hdetr_d2.modeling import PanopticMerger

MERGER = PanopticMerger(thing_classes=[0, 1])
SIZE = (4, 6)


def mask(rows: slice, columns: slice, inside: float = 5.0, outside: float = -5.0) -> torch.Tensor:
    logits = torch.full(SIZE, outside)
    logits[rows, columns] = inside
    return logits


ALL = slice(None)
LEFT, RIGHT = mask(ALL, slice(0, 3)), mask(ALL, slice(3, 6))


def merge(masks, labels, scores=None, size=SIZE):
    scores = torch.tensor(scores or [0.9] * len(labels))
    return MERGER(torch.stack(masks), scores, torch.tensor(labels), size)


def test_every_pixel_goes_to_the_highest_logit():
    small = mask(slice(0, 2), slice(0, 3), inside=7.0)
    ids, segments = merge([LEFT, RIGHT, small], [0, 0, 1], [0.9, 0.875, 0.95])
    expected = [[3, 3, 3, 2, 2, 2]] * 2 + [[1, 1, 1, 2, 2, 2]] * 2
    assert ids.dtype == torch.int32
    assert ids.tolist() == expected
    assert segments == [
        {"id": 1, "isthing": True, "category_id": 0, "score": pytest.approx(0.9), "area": 6},
        {"id": 2, "isthing": True, "category_id": 0, "score": pytest.approx(0.875), "area": 12},
        {"id": 3, "isthing": True, "category_id": 1, "score": pytest.approx(0.95), "area": 6},
    ]


def test_stuff_of_a_class_is_one_segment():
    ids, segments = merge([LEFT, RIGHT], [2, 2], [0.9, 0.95])
    assert (ids == 1).all()
    assert segments == [
        {"id": 1, "isthing": False, "category_id": 2, "score": pytest.approx(0.95), "area": 24}
    ]
    assert [s["category_id"] for s in merge([LEFT, RIGHT], [2, 3])[1]] == [2, 3]


def test_small_segments_leave_their_pixels_to_others():
    speck = mask(slice(0, 2), slice(0, 2), inside=9.0)
    ids, segments = merge([LEFT, speck, RIGHT], [2, 0, 3])
    assert ids.tolist() == [[1, 1, 1, 2, 2, 2]] * 4
    assert [(s["id"], s["category_id"], s["area"]) for s in segments] == [(1, 2, 12), (2, 3, 12)]


def test_merged_stuff_stays_merged_when_a_small_segment_goes():
    speck = mask(slice(0, 2), slice(0, 2), inside=9.0)
    thing = torch.zeros(SIZE)  # it would win where one of the two stuff masks alone is low
    ids, segments = merge([LEFT, RIGHT, speck, thing], [2, 2, 0, 1])
    assert (ids == 1).all()
    assert len(segments) == 1


def test_what_becomes_small_by_what_wins_goes_too():
    hidden = mask(ALL, slice(0, 3), inside=1.0)
    ids, segments = merge([LEFT, hidden, RIGHT], [0, 1, 2])
    assert [s["category_id"] for s in segments] == [0, 2]


def test_the_size_of_the_original_image():
    ids, segments = merge([LEFT, RIGHT], [0, 2], size=(8, 3))
    # The middles of the three columns lie at 1, 3 and 5 of six.
    assert ids.tolist() == [[1, 2, 2]] * 8
    assert [s["area"] for s in segments] == [8, 16]


def test_nothing_found():
    ids, segments = MERGER(
        torch.zeros(0, *SIZE), torch.zeros(0), torch.zeros(0, dtype=torch.int64), (8, 12)
    )
    assert ids.shape == (8, 12) and not ids.any() and segments == []
    ids, segments = merge([mask(ALL, ALL)], [0], size=(2, 2))  # four pixels are too few
    assert not ids.any() and segments == []


def test_queries_above_the_threshold():
    scores = torch.tensor([[0.1, 0.9, 0.2, 0.0], [0.85, 0.1, 0.0, 0.0], [0.0, 0.0, 0.1, 0.86]])
    queries, best, labels = MERGER.select(scores)
    assert queries.tolist() == [0, 2]
    assert labels.tolist() == [1, 3]
    torch.testing.assert_close(best, torch.tensor([0.9, 0.86]))


def test_a_pixel_that_no_mask_has_seen_has_no_segment():
    logits = torch.full((2, 4, 4), -math.inf)
    logits[0, :, :3], logits[1, :, :3] = 1.0, -1.0
    merger = PanopticMerger(thing_classes=[0, 1])
    ids, segments = merger(logits, torch.tensor([0.9, 0.9]), torch.tensor([0, 1]), (4, 4))
    assert ids.tolist() == [[1, 1, 1, 0]] * 4
    assert [(segment["id"], segment["area"]) for segment in segments] == [(1, 12)]
