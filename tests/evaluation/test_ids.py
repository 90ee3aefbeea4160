"""Ids are only names, and no object is lost by its area: AP of data sets of all kinds."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import detectron2.evaluation
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances, register_lvis_instances
from detectron2.evaluation import DatasetEvaluator
from detectron2.structures import Boxes, Instances
from PIL import Image

from hdetr_d2.data.lvis_shim import import_lvis
from hdetr_d2.data.registration import register_datasets
from hdetr_d2.errors import UserError
from hdetr_d2.evaluation import COCOEvaluator, LVISEvaluator

SIZE = 100
# Image, class, box xywh: a large, a medium and a small one.
OBJECTS = [(0, 0, [0, 0, 98, 98]), (0, 1, [10, 10, 50, 40]), (1, 0, [60, 60, 20, 20])]
KINDS: dict[str, list[Any]] = {
    "from 1": [1, 2, 3],
    "from 0": [0, 1, 2],
    "negative": [-3, -2, -1],
    "words": ["a", "b", "c"],
    "twice": [7, 7, 7],
    "beyond 2^53": [2**53, 2**53 + 1, 2**70],
    "fractions": [0.25, 0.5, 0.75],
    "numbers and words": [0, "0", 1],
    "none": [None, None, None],
}
AREAS: dict[str, Any] = {
    "as it is": lambda w, h: w * h,
    "missing": lambda w, h: None,
    "zero": lambda w, h: 0,
    "negative": lambda w, h: -1,
    "not a number": lambda w, h: math.nan,
    "beyond all": lambda w, h: 2e10,
    "in fractions": lambda w, h: w * h / SIZE**2,
    "of another size": lambda w, h: 9 * w * h,
    "a word": lambda w, h: str(w * h),
}


def content(**columns: list) -> dict:
    """A json of the objects, in which `ids`, `areas`, `images` or `categories` are others."""
    images, categories = columns.get("images", [1, 2]), columns.get("categories", [1, 2])
    areas = columns.get("areas", [box[2] * box[3] for _, _, box in OBJECTS])
    ids = columns.get("ids", KINDS["from 1"])
    annotations = []
    for (image, label, (x, y, w, h)), number, area in zip(OBJECTS, ids, areas, strict=True):
        outline = [x, y, x + w, y, x + w, y + h, x, y + h]
        given = {"image_id": images[image], "category_id": categories[label], "iscrowd": 0}
        shape = {"bbox": [x, y, w, h], "segmentation": [outline]}
        own = {"id": number, "area": area}
        annotations.append(given | shape | {k: v for k, v in own.items() if v is not None})
    size = {"width": SIZE, "height": SIZE}
    lists = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    return {
        "images": [
            {"id": i, "file_name": f"{n}.png", "coco_url": f"data/{n}.png", **size, **lists}
            for n, i in enumerate(images)
        ],
        "annotations": annotations,
        "categories": [
            {"id": i, "name": name, "frequency": "f", "image_count": 1}
            for i, name in zip(categories, ("cat", "dog"), strict=True)
        ],
    }


Scores = Callable[..., dict[str, dict[str, float]]]


@pytest.fixture(params=["coco", "detectron2", "lvis"])
def scores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scores]:
    """What a model gets that finds all but the dog, as boxes and masks."""
    json_file, name = tmp_path / "data" / "some.json", f"ids_{request.param}"
    json_file.parent.mkdir()
    for number in range(2):
        Image.fromarray(np.zeros((SIZE, SIZE, 3), np.uint8)).save(tmp_path / f"data/{number}.png")

    def evaluate(given: dict) -> dict[str, dict[str, float]]:
        json_file.write_text(json.dumps(given))
        before = sorted(json_file.parent.iterdir())
        data = {"val_name": name, "val_json": str(json_file), "val_images": str(tmp_path / "data")}
        if request.param == "lvis":
            import_lvis()
            labels = {entry["id"]: i for i, entry in enumerate(given["categories"])}
            metadata = {
                "thing_classes": ["cat", "dog"],
                "thing_dataset_id_to_contiguous_id": labels,
            }
            register_lvis_instances(name, metadata, data.pop("val_json"), f"{tmp_path}/")
        register_datasets({"val_json": None, **data}, for_training=False)
        kind = {
            "coco": COCOEvaluator,
            "lvis": LVISEvaluator,
            "detectron2": detectron2.evaluation.COCOEvaluator,
        }[request.param]
        found = feed(kind(name), [entry["id"] for entry in given["images"]])
        assert sorted(json_file.parent.iterdir()) == before
        return found

    yield evaluate
    if name in DatasetCatalog.list():
        DatasetCatalog.remove(name)
    MetadataCatalog.pop(name, None)


def feed(evaluator: DatasetEvaluator, image_ids: list) -> dict[str, dict[str, float]]:
    evaluator.reset()
    for number, image_id in enumerate(image_ids):
        mine = [(label, box) for image, label, box in OBJECTS if image == number]
        instances = Instances((SIZE, SIZE))
        boxes = torch.tensor([box for _, box in mine], dtype=torch.float32)
        boxes[:, 2:] += boxes[:, :2]
        boxes[[label == 1 for label, _ in mine]] = torch.tensor([0.0, 0, 5, 5])
        instances.pred_boxes = Boxes(boxes)
        instances.scores = torch.ones(len(mine))
        instances.pred_classes = torch.tensor([label for label, _ in mine])
        instances.pred_masks = torch.zeros(len(mine), SIZE, SIZE, dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(instances.pred_masks, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = True
        evaluator.process([{"image_id": image_id}], [{"instances": instances}])
    results = evaluator.evaluate()
    assert results is not None
    return results


def check(results: dict[str, dict[str, float]]) -> None:
    assert list(results) == ["bbox", "segm"]
    for found in results.values():
        named = [found[name] for name in ("AP", "APs", "APm", "APl")]
        assert named == pytest.approx([50, 100, 0, 100])
        if "AP-cat" in found:
            assert (found["AP-cat"], found["AP-dog"]) == pytest.approx((100, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_ids_of_annotations(scores: Scores, kind: str) -> None:
    check(scores(content(ids=KINDS[kind])))


@pytest.mark.parametrize("kind", AREAS)
def test_areas(scores: Scores, kind: str) -> None:
    areas = [AREAS[kind](box[2], box[3]) for _, _, box in OBJECTS]
    check(scores(content(areas=areas)))


@pytest.mark.parametrize("ids", [[0, 1], [-2, -1], ["a", "b"], [2**53 + 1, 2**53], [2**64, 0]])
@pytest.mark.parametrize("key", ["images", "categories"])
def test_ids_of_images_and_categories(scores: Scores, key: str, ids: list) -> None:
    if key == "categories":
        ids = sorted(ids)
    check(scores(content(**{key: ids})))


def test_what_is_found_in_another_image_is_not_found(scores: Scores) -> None:
    """Ids that are one number where they are kept as floating-point numbers of 64 bits."""
    first, second = 1700000000000000001, 1700000000000000002
    given = content(images=[first, second])
    given["images"].reverse()  # the predictions go by this order, the annotations by the ids
    for found in scores(given).values():
        assert found["AP"] == 0


@pytest.mark.parametrize("key", ["images", "categories"])
def test_ids_that_numpy_does_not_hold(scores: Scores, key: str) -> None:
    with pytest.raises(UserError, match=f"cannot tell the ids of '{key}' apart.* 1 to 92233720"):
        scores(content(**{key: [1, 2**63 + 1]}))


def test_a_data_set_that_no_training_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(content(ids=KINDS["from 0"])))
    register_coco_instances("unseen_ids", {}, str(path), str(tmp_path))
    DatasetCatalog.get("unseen_ids")
    check(feed(COCOEvaluator("unseen_ids"), [1, 2]))
    DatasetCatalog.remove("unseen_ids")
    MetadataCatalog.pop("unseen_ids")
