"""Soft-NMS by hand, and against a loop over the boxes of an image."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou

from hdetr_d2.modeling import SoftNMSPairs
from hdetr_d2.modeling.postprocessing import PostProcessing
from hdetr_d2.modeling.soft_nms import soft_nms


def by_loops(
    scores: Tensor, labels: Tensor, boxes: Tensor, threshold: float, least: float
) -> list[tuple[int, float]]:
    """Places and scores of what is taken of one image, xyxy boxes `Tensor[N, 4]`, in order."""
    iou, left, taken = box_iou(boxes, boxes), dict(enumerate(scores.tolist())), []
    while left:
        best = max(left, key=left.__getitem__)
        taken.append((best, left.pop(best)))
        for other in list(left):
            overlap = iou[best, other].item()
            if labels[other] == labels[best] and overlap >= threshold:
                left[other] *= 1 - overlap
            if left[other] < least:
                del left[other]
    return taken


def test_a_hidden_box_is_lowered_by_how_much_it_overlaps():
    # Of 4 x 4 boxes the second is the first, moved by 1/4: an IoU of 3/5. The third is elsewhere.
    boxes = torch.tensor([[[0.2, 0.2, 0.4, 0.4], [0.3, 0.2, 0.4, 0.4], [0.8, 0.8, 0.2, 0.2]]])
    scores = torch.tensor([[[0.9], [0.8], [0.7]]])
    found = SoftNMSPairs(iou_threshold=0.5)(scores, boxes, 100)
    assert found.queries.tolist() == [[0, 2, 1]]
    torch.testing.assert_close(found.scores, torch.tensor([[0.9, 0.7, 0.8 * 0.4]]))
    apart = SoftNMSPairs(iou_threshold=0.61)(scores, boxes, 100)
    torch.testing.assert_close(apart.scores, torch.tensor([[0.9, 0.8, 0.7]]))


def test_boxes_of_other_classes_leave_each_other_alone():
    boxes = torch.full((1, 2, 4), 0.5)
    scores = torch.tensor([[[0.9, 0.1], [0.2, 0.8]]])
    found = SoftNMSPairs()(scores, boxes, 100)  # the best two pairs are of two classes
    assert found.labels.tolist() == [[0, 1]] and found.queries.tolist() == [[0, 1]]
    torch.testing.assert_close(found.scores, torch.tensor([[0.9, 0.8]]))


def test_boxes_are_cut_at_the_edge_of_the_image_before():
    # Outside of the image they differ, inside they are the same.
    boxes = torch.tensor([[[0.0, 0.5, 0.4, 0.2], [-0.2, 0.5, 0.8, 0.2]]])
    found = SoftNMSPairs()(torch.tensor([[[0.9], [0.8]]]), boxes, 100)
    assert found.scores.tolist() == [[pytest.approx(0.9), -torch.inf]]


def test_what_is_left_out_is_no_detection():
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]])
    scores = torch.tensor([[[0.9], [0.8], [0.3]], [[0.9], [0.8], [0.0005]]])
    found = PostProcessing(num_select=100, pick=SoftNMSPairs()).detections(
        scores, boxes.expand(2, 3, 4), [(10, 20)] * 2
    )
    assert [instances.pred_queries.tolist() for instances in found] == [[0, 2], [0]]
    torch.testing.assert_close(found[0].scores, torch.tensor([0.9, 0.3]))


def test_one_low_score_alone_stays():
    found = SoftNMSPairs()(torch.tensor([[[1e-4]]]), torch.rand(1, 1, 4), 100)
    torch.testing.assert_close(found.scores, torch.tensor([[1e-4]]))


@pytest.mark.parametrize(("threshold", "least"), [(0.8, 1e-3), (0.3, 0.05), (0.0, 0.2)])
def test_against_loops(threshold: float, least: float):
    boxes = torch.cat([0.4 + 0.2 * torch.rand(3, 40, 2), 0.2 + 0.2 * torch.rand(3, 40, 2)], -1)
    scores = torch.rand(3, 40, 2)
    found = SoftNMSPairs(iou_threshold=threshold, min_score=least)(scores, boxes, 15)
    for image in range(3):
        best, pair = scores[image].flatten().topk(40)
        query, label = pair // 2, pair % 2
        corners = box_convert(boxes[image, query], "cxcywh", "xyxy")
        expected = by_loops(best, label, corners, threshold, least)[:15]
        kept = len(expected)
        assert found.queries[image, :kept].tolist() == [int(query[place]) for place, _ in expected]
        assert found.labels[image, :kept].tolist() == [int(label[place]) for place, _ in expected]
        values = torch.tensor([score for _, score in expected])
        torch.testing.assert_close(found.scores[image, :kept], values)
        assert found.scores[image, kept:].isneginf().all()


def test_nothing_to_take():
    best, places = soft_nms(torch.zeros(2, 0), lambda place: place, 0.1, 5)
    assert best.shape == places.shape == (2, 0)
    assert len(SoftNMSPairs()(torch.rand(1, 2, 3), torch.rand(1, 2, 4), 0).scores[0]) == 0
