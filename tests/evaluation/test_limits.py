"""So many detections of an image count as the config says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.structures import Boxes, Instances

from hdetr_d2.evaluation import COCOEvaluator, LVISEvaluator, ThingsEvaluator

NAME = "six_of_each"


@pytest.fixture
def registered(tmp_path: Path) -> Iterator[str]:
    """An image with six cats and a dog, which has ids 0..6."""
    box = {"image_id": 1, "area": 100, "iscrowd": 0}
    cats = [{**box, "id": i, "category_id": 1, "bbox": [20 * i, 0, 10, 10]} for i in range(6)]
    content = {
        "images": [{"id": 1, "width": 200, "height": 200}],
        "categories": [{"id": i, "name": name} for i, name in ((1, "cat"), (2, "dog"))],
        "annotations": [*cats, {**box, "id": 6, "category_id": 2, "bbox": [0, 50, 10, 10]}],
    }
    path = tmp_path / "six.json"
    path.write_text(json.dumps(content))
    MetadataCatalog.get(NAME).set(
        json_file=str(path),
        thing_classes=["cat", "dog"],
        thing_dataset_id_to_contiguous_id={1: 0, 2: 1},
    )
    yield NAME
    MetadataCatalog.pop(NAME)


@pytest.mark.parametrize("kind", [COCOEvaluator, ThingsEvaluator])
@pytest.mark.parametrize(
    # With one of six found precision is 1 up to a recall of 1/6: at 17 of 101 recalls.
    ("limit", "cats"),
    [(1, 17), (2, 34), (3, 51), (6, 101), (10, 101), (11, 101), (100, 101), (None, 101)],
)
def test_every_ap_is_at_the_limit(
    registered: str, kind: type[COCOEvaluator], limit: int | None, cats: int
) -> None:
    evaluator = kind(registered, distributed=False, max_dets_per_image=limit)
    evaluator.reset()
    found = Instances((200, 200))
    left, top = torch.tensor([*range(0, 120, 20), 0.0]), torch.tensor([0.0] * 6 + [50])
    found.pred_boxes = Boxes(torch.stack([left, top, left + 10, top + 10], dim=1))
    found.scores = torch.linspace(0.9, 0.3, 7)
    found.pred_classes = torch.tensor([0] * 6 + [1])
    evaluator.process([{"image_id": 1}], [{"instances": found}])
    results = evaluator.evaluate()["bbox"]
    assert (results["AP-cat"], results["AP-dog"]) == pytest.approx((100 * cats / 101, 100))
    mean = (100 * cats / 101 + 100) / 2
    assert [results[name] for name in ("AP", "AP50", "AP75", "APs")] == pytest.approx([mean] * 4)


@pytest.mark.parametrize("kind", [COCOEvaluator, LVISEvaluator])
@pytest.mark.parametrize("limit", [0, -1, 2.5, True, "many"])
def test_a_limit_is_a_positive_whole_number(kind: type, limit: object) -> None:
    with pytest.raises(ValueError, match=f"max_dets_per_image={limit} must be a positive whole"):
        kind(NAME, max_dets_per_image=limit)
