"""What doubles cost: average precisions that are counted by hand."""

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.structures import Boxes, Instances

from hdetr_d2.evaluation import COCOEvaluator

NAME = "two_cats"
CATS = [[0.0, 0.0, 20.0, 20.0], [50.0, 50.0, 70.0, 70.0]]  # xyxy


@pytest.fixture
def evaluator(tmp_path: Path) -> Iterator[COCOEvaluator]:
    """Of two images: the first with two cats, the second with none."""
    box = {"image_id": 1, "area": 400, "iscrowd": 0, "category_id": 1}
    content = {
        "images": [{"id": i, "width": 200, "height": 200} for i in (1, 2)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {**box, "id": i, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            for i, (x0, y0, x1, y1) in enumerate(CATS, 1)
        ],
    }
    path = tmp_path / "cats.json"
    path.write_text(json.dumps(content))
    MetadataCatalog.get(NAME).set(
        json_file=str(path), thing_classes=["cat"], thing_dataset_id_to_contiguous_id={1: 0}
    )
    yield COCOEvaluator(NAME, distributed=False)
    MetadataCatalog.pop(NAME)


def evaluate(
    evaluator: COCOEvaluator, *images: list[tuple[list[float], float]]
) -> dict[str, float]:
    evaluator.reset()
    for number, found in enumerate(images, 1):
        instances = Instances((200, 200))
        instances.pred_boxes = Boxes(torch.tensor([box for box, _ in found]).reshape(-1, 4))
        instances.scores = torch.tensor([score for _, score in found])
        instances.pred_classes = torch.zeros(len(found), dtype=torch.int64)
        evaluator.process([{"image_id": number}], [{"instances": instances}])
    return evaluator.evaluate()["bbox"]


def test_a_double_between_two_cats(evaluator, caplog):
    with caplog.at_level(logging.INFO, "hdetr_d2"):
        results = evaluate(evaluator, [(CATS[0], 0.9), (CATS[0], 0.8), (CATS[1], 0.7)], [])
    # Up to a recall of 1/2, 51 of 101 places, precision is 1, then 2/3.
    assert results["AP"] == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)
    assert results["AP_nms"] == pytest.approx(100)
    assert results["AR"] == pytest.approx(100)
    assert results["doubles"] == pytest.approx(50)  # one of the best two
    assert "Duplicates cost 16.5 AP: 50% of the best detections" in caplog.text


def test_what_overlaps_less_or_in_another_image_is_none(evaluator, caplog):
    beside = [2.0, 0.0, 22.0, 20.0]  # moved by 2 of 20 pixels: an IoU of 18 / 22, above 0.7
    further = [4.0, 0.0, 24.0, 20.0]  # an IoU of 16 / 24 with the cat, and of 18 / 22 with that
    found = [(CATS[0], 0.9), (further, 0.8), (beside, 0.7)]
    results = evaluate(evaluator, found, [(CATS[0], 0.6)])
    assert results["doubles"] == 0  # the best two are none; the third is one
    assert results["AR"] == pytest.approx(50)
    assert results["AP_nms"] == pytest.approx(results["AP"]) == pytest.approx(100 * 51 / 101)
    assert "Duplicates cost" not in caplog.text


def test_equal_scores(evaluator):
    results = evaluate(evaluator, [(CATS[0], 0.5), (CATS[0], 0.5), (CATS[1], 0.5)], [])
    assert results["AP_nms"] == pytest.approx(100)


def test_nothing_found(evaluator):
    results = evaluate(evaluator, [], [])
    assert math.isnan(results["AP"]) and "AP_nms" not in results


def test_none_where_something_is(evaluator):
    results = evaluate(evaluator, [], [(CATS[0], 0.6)])
    assert (results["AP"], results["AP_nms"], results["AR"]) == (0, 0, 0)
    assert math.isnan(results["doubles"])
