"""The evaluation of masks takes their run lengths, and makes no bitmap of them."""

import json
from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.evaluation import COCOEvaluator
from detectron2.structures import Boxes, Instances

from hdetr_d2.evaluation.run_lengths import TakesRunLengths
from hdetr_d2.structures import ScaledMasks


class Evaluator(TakesRunLengths, COCOEvaluator):
    """As those of this project are."""


@pytest.fixture
def evaluator(tmp_path: Path) -> Evaluator:
    box = {"iscrowd": 0, "area": 600, "category_id": 1}
    corners = [10, 20, 40, 20, 40, 40, 10, 40]
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 60, "height": 50} for i in (1, 2)],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [
            {"id": i, "image_id": i, "bbox": [10, 20, 30, 20], "segmentation": [corners], **box}
            for i in (1, 2)
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    register_coco_instances("run_lengths", {}, str(tmp_path / "a.json"), str(tmp_path))
    DatasetCatalog.get("run_lengths")  # which sets the ids of the classes
    return Evaluator("run_lengths", output_dir=str(tmp_path))


def found(count: int) -> Instances:
    small = torch.zeros(count, 25, 30, dtype=torch.bool)
    small[:, 10:20, 5:20] = True
    instances = Instances((50, 60), pred_masks=ScaledMasks(small, (50, 60)))
    instances.pred_boxes = Boxes(torch.tensor([[10.0, 20, 40, 40]]).expand(count, 4))
    instances.scores = torch.full((count,), 0.5)
    instances.pred_classes = torch.zeros(count, dtype=torch.int64)
    return instances


def bitmaps(instances: Instances) -> Instances:
    fields = {**instances.get_fields(), "pred_masks": instances.pred_masks.tensor}
    return Instances(instances.image_size, **fields)


def results(evaluator: Evaluator, outputs: list[Instances]) -> dict:
    evaluator.reset()
    inputs = [{"image_id": image_id} for image_id in (1, 2)]
    evaluator.process(inputs, [{"instances": instances} for instances in outputs])
    return evaluator.evaluate()


@pytest.mark.parametrize("counts", [(1, 1), (2, 0), (0, 3)])
def test_the_results_are_those_of_bitmaps(
    counts: tuple[int, int], evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = [found(count) for count in counts]
    expected = results(evaluator, [bitmaps(instances) for instances in outputs])
    assert set(expected) == {"bbox", "segm"}
    monkeypatch.setattr(ScaledMasks, "_scale", lambda self, small: pytest.fail("a bitmap"))
    assert str(results(evaluator, outputs)) == str(expected)
    assert outputs[0].has("pred_masks")  # what the model gave stays as it was
    if counts == (1, 1):
        assert expected["segm"]["AP"] == pytest.approx(100)
