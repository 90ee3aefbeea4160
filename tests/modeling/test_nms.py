"""Non-maximum suppression of the detections: by hand, and against torchvision's."""

import pytest
import torch
from torchvision.ops import batched_nms, box_convert

from hdetr_d2.modeling import BestPairs, NMSPairs, PostProcessing


def test_a_double_goes_and_another_class_stays():
    # Of 4 x 4 boxes the second is the first, moved by 1/4: an IoU of 3/5.
    boxes = torch.tensor([[[0.2, 0.2, 0.4, 0.4], [0.3, 0.2, 0.4, 0.4], [0.2, 0.2, 0.4, 0.4]]])
    scores = torch.tensor([[[0.9, 0.0], [0.8, 0.0], [0.0, 0.7]]])
    for threshold, queries in ((0.61, [0, 1, 2]), (0.59, [0, 2])):
        pick = NMSPairs(iou_threshold=threshold)
        (found,) = PostProcessing(pick=pick).detections(scores, boxes, [(10, 10)])
        assert found[found.scores > 0].pred_queries.tolist() == queries


def test_a_box_that_is_gone_hides_none():
    # A row of boxes, each with an IoU of 3/5 with the next one and of 1/3 with the one after it.
    boxes = torch.tensor([[[0.2 + 0.1 * i, 0.5, 0.4, 0.4] for i in range(5)]])
    scores = torch.tensor([[[0.9], [0.8], [0.7], [0.6], [0.5]]])
    found = NMSPairs(iou_threshold=0.5)(scores, boxes, 100)
    assert found.queries[0, :3].tolist() == [0, 2, 4]
    assert found.scores[0].isneginf().tolist() == [False, False, False, True, True]


@pytest.fixture(params=[True, False], ids=["looks", "waits for nothing"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that sees when nothing changes any more, and one that may not look, as of a GPU."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: not request.param)


@pytest.mark.parametrize("wanted", [1, 3, 20])
def test_a_long_chain_is_followed_as_far_as_is_wanted(host: None, wanted: int):
    boxes = torch.tensor([[[0.02 * i, 0.5, 0.08, 0.4] for i in range(50)]])
    scores = torch.linspace(0.9, 0.1, 50)[None, :, None]
    found = NMSPairs(iou_threshold=0.5)(scores, boxes, wanted)
    assert found.queries[0].tolist() == [2 * i for i in range(wanted)]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_against_torchvision(host: None, threshold: float):
    boxes = torch.cat([0.4 + 0.2 * torch.rand(3, 40, 2), 0.2 + 0.2 * torch.rand(3, 40, 2)], -1)
    scores = torch.rand(3, 40, 2)
    found = NMSPairs(iou_threshold=threshold)(scores, boxes, 15)
    pairs = BestPairs()(scores, boxes, 40)
    for image in range(3):
        corners = box_convert(boxes[image, pairs.queries[image]], "cxcywh", "xyxy")
        kept = batched_nms(corners, pairs.scores[image], pairs.labels[image], threshold)[:15]
        count = len(kept)
        assert found.queries[image, :count].tolist() == pairs.queries[image, kept].tolist()
        assert found.labels[image, :count].tolist() == pairs.labels[image, kept].tolist()
        torch.testing.assert_close(found.scores[image, :count], pairs.scores[image, kept])
        assert found.scores[image, count:].isneginf().all()


def test_a_query_may_be_found_with_several_classes():
    scores, boxes = torch.tensor([[[0.9, 0.8, 0.7]]]), torch.rand(1, 1, 4)
    for wanted, labels in ((2, [0, 1]), (5, [0, 1, 2])):
        assert NMSPairs()(scores, boxes, wanted).labels.tolist() == [labels]


def test_nothing_to_take():
    assert NMSPairs()(torch.rand(2, 0, 3), torch.rand(2, 0, 4), 10).scores.shape == (2, 0)
