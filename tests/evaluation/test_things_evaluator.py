"""A model of two things and a kind of stuff on instances of the things."""

import json
from pathlib import Path

import pytest
import torch
from detectron2.config import instantiate
from detectron2.data import MetadataCatalog
from detectron2.structures import Boxes, Instances

from hdetr_d2.engine.config import load_config
from hdetr_d2.evaluation import ThingsEvaluator

RECIPE = Path(__file__).parents[2] / "configs" / "detr" / "detr_panoptic_r50_25ep.py"


@pytest.fixture
def dataset(tmp_path: Path):
    box = {"image_id": 1, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0}
    content = {
        "info": {},
        "images": [{"id": 1, "width": 20, "height": 20}],
        "categories": [{"id": i, "name": name} for i, name in ((3, "a"), (5, "b"))],
        "annotations": [{**box, "id": 1, "category_id": 3}],
    }
    path = tmp_path / "things.json"
    path.write_text(json.dumps(content))
    ids = {3: 0, 5: 1}
    MetadataCatalog.get("two_things").set(
        json_file=str(path), thing_classes=["a", "b"], thing_dataset_id_to_contiguous_id=ids
    )
    yield "two_things"
    MetadataCatalog.pop("two_things")


@pytest.mark.parametrize(("classes", "ap"), [([0, 2], 100.0), ([2, 2], float("nan"))])
def test_stuff_is_left_out(dataset: str, classes: list[int], ap: float) -> None:
    instances = Instances((20, 20))
    instances.pred_boxes = Boxes(torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 20]]))
    instances.scores = torch.tensor([0.5, 0.9])
    instances.pred_classes = torch.tensor(classes)
    evaluator = ThingsEvaluator(dataset, distributed=False)
    evaluator.reset()
    evaluator.process([{"image_id": 1}], [{"instances": instances, "panoptic_seg": None}])
    assert evaluator.evaluate()["bbox"]["AP"] == pytest.approx(ap, nan_ok=True)


def test_beside_the_panoptic_quality(dataset: str) -> None:
    cfg = load_config(str(RECIPE))
    cfg.data.val_name = "coco_2017_val_panoptic"
    cfg.dataloader.evaluator.evaluators[1].dataset_name = dataset
    evaluator = instantiate(cfg.dataloader.evaluator)
    evaluator.reset()
    assert evaluator.evaluate() == {}  # of no images
