"""From scores and boxes to detections."""

import torch
from detectron2.structures import Instances

from hdetr_d2.modeling.picks import BestClasses, BestPairs, Pick
from hdetr_d2.modeling.postprocessing import PostProcessing, to_original_size


def best(num_select: int, pick: Pick, *predictions) -> list[Instances]:
    return PostProcessing(num_select=num_select, pick=pick).detections(*predictions)


def test_the_best_pairs_of_query_and_class():
    scores = torch.tensor([[[0.1, 0.9], [0.8, 0.2]]])
    boxes = torch.tensor([[[0.5, 0.5, 1.0, 1.0], [0.25, 0.5, 0.5, 0.2]]])
    found = best(3, BestPairs(), scores, boxes, [(10, 20)])[0]
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.8, 0.2]))
    assert found.pred_classes.tolist() == [1, 0, 1]
    expected = torch.tensor([[0.0, 0, 20, 10], [0, 4, 10, 6], [0, 4, 10, 6]])
    torch.testing.assert_close(found.pred_boxes.tensor, expected)


def test_fewer_pairs_than_wanted():
    assert len(best(100, BestPairs(), torch.rand(1, 2, 3), torch.rand(1, 2, 4), [(10, 10)])[0]) == 6


def test_the_best_class_of_every_query_in_their_order():
    scores = torch.tensor([[[0.1, 0.3], [0.8, 0.7], [0.2, 0.5]]])
    boxes = torch.tensor([[[0.5, 0.5, 1.0, 1.0], [0.25, 0.5, 0.5, 0.2], [0.5, 0.5, 0.2, 0.2]]])
    found = best(100, BestClasses(), scores, boxes, [(10, 20)])[0]
    torch.testing.assert_close(found.scores, torch.tensor([0.3, 0.8, 0.5]))
    assert found.pred_classes.tolist() == [1, 0, 1]
    torch.testing.assert_close(found.pred_boxes.tensor[1], torch.tensor([0.0, 4, 10, 6]))
    few = best(2, BestClasses(), scores, boxes, [(10, 20)])[0]
    torch.testing.assert_close(few.scores, torch.tensor([0.8, 0.5]))
    assert few.pred_classes.tolist() == [0, 1]


def test_original_size_clips_and_drops_empty_boxes():
    scores = torch.tensor([[[0.9], [0.8]]])
    boxes = torch.tensor(
        [[[1.0, 0.5, 0.5, 1.0], [1.5, 0.5, 0.2, 0.2]]]
    )  # half outside, wholly outside
    found = best(5, BestPairs(), scores, boxes, [(10, 10)])
    fed = {"image": torch.zeros(3, 10, 10), "height": 20, "width": 40}
    output = to_original_size(found, [fed])[0]["instances"]
    torch.testing.assert_close(output.pred_boxes.tensor, torch.tensor([[30.0, 0, 40, 20]]))


def test_what_an_image_is_padded_with_does_not_count_for_its_size():
    # An image of 5 x 10 in a square of 10 x 10: the second box lies in the grey below it.
    boxes = torch.tensor([[[0.5, 0.25, 0.5, 0.9], [0.5, 0.75, 0.5, 0.5]]])
    found = best(5, BestPairs(), torch.tensor([[[0.9], [0.8]]]), boxes, [(10, 10)])
    fed = {"image": torch.zeros(3, 5, 10), "height": 50, "width": 100}
    output = to_original_size(found, [fed])[0]["instances"]
    assert output.image_size == (50, 100)
    torch.testing.assert_close(output.pred_boxes.tensor, torch.tensor([[25.0, 0, 75, 50]]))
