"""LVIS's metrics on a data set that is small enough to compute them by hand."""

import hdetr_d2  # noqa: F401

import json
import math
from pathlib import Path

import pytest
import torch
from detectron2.data.datasets import register_lvis_instances
from detectron2.structures import Boxes, Instances

from hdetr_d2.evaluation import LVISEvaluator

NAME = "contract_lvis_v1"
HERE, THERE = [0.0, 0.0, 40.0, 40.0], [50.0, 50.0, 90.0, 90.0]  # xyxy

# ant (1) is frequent, bee (2) rare, cow (3) common. No bee is in image 1; image 2 has an ant, but
# perhaps not all of its ants are annotated; about other classes nothing is known.
IMAGES = [
    {"id": 1, "neg_category_ids": [2], "not_exhaustive_category_ids": []},
    {"id": 2, "neg_category_ids": [], "not_exhaustive_category_ids": [1]},
]
TRUTH = [(1, 1, HERE), (2, 1, HERE), (2, 2, THERE)]
FOUND = [
    (1, 0, HERE, 0.9),  # right
    (1, 1, THERE, 0.95),  # wrong: image 1 has no bee
    (1, 2, THERE, 0.99),  # not counted: cows are unknown in image 1
    (2, 0, HERE, 0.7),  # right
    (2, 0, THERE, 0.99),  # not counted: it may be one of the other ants
    (2, 1, THERE, 0.8),  # right, below one that is wrong: precision 1/2
]


def write_truth(path: Path, truth: list[tuple]) -> None:
    content = {
        "images": [
            {
                **image,
                "height": 100,
                "width": 100,
                "coco_url": f"http://x/val2017/{image['id']}.jpg",
            }
            for image in IMAGES
        ],
        "categories": [
            {"id": i, "name": n, "synonyms": [n], "frequency": f, "image_count": 1}
            for i, n, f in ((1, "ant", "f"), (2, "bee", "r"), (3, "cow", "c"))
        ],
        "annotations": [
            {
                "id": i + 1,
                "image_id": image,
                "category_id": category,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
            }
            for i, (image, category, (x1, y1, x2, y2)) in enumerate(truth)
        ],
    }
    path.write_text(json.dumps(content))


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    path = tmp_path / "lvis.json"
    write_truth(path, TRUTH)
    register_lvis_instances(NAME, {}, str(path), str(tmp_path))
    return path


def feed(evaluator: LVISEvaluator, rows: list[tuple], masks: bool) -> dict:
    evaluator.reset()
    for image in (1, 2):
        mine = [row for row in rows if row[0] == image]
        found = Instances((100, 100))
        found.pred_boxes = Boxes(torch.tensor([row[2] for row in mine]).reshape(-1, 4))
        found.scores = torch.tensor([row[3] for row in mine])
        found.pred_classes = torch.tensor([row[1] for row in mine], dtype=torch.int64)
        if masks:
            found.pred_masks = torch.zeros(len(mine), 100, 100, dtype=torch.bool)
            for mask, (_, _, (x1, y1, x2, y2), _) in zip(found.pred_masks, mine, strict=True):
                mask[int(y1) : int(y2), int(x1) : int(x2)] = True
        evaluator.process([{"image_id": image}], [{"instances": found}])
    results = evaluator.evaluate()
    assert results is not None
    return results


@pytest.mark.parametrize("masks", [False, True])
def test_scores_computed_by_hand(registered: Path, tmp_path: Path, masks: bool) -> None:
    evaluator = LVISEvaluator(NAME, output_dir=str(tmp_path / "out"))
    results = feed(evaluator, FOUND, masks)
    assert list(results) == (["bbox", "segm"] if masks else ["bbox"])
    for scores in results.values():
        assert scores["APf"] == pytest.approx(100.0)
        assert scores["APr"] == pytest.approx(50.0)
        assert math.isnan(scores["APc"])
        for metric in ("AP", "AP50", "AP75", "APm"):
            assert scores[metric] == pytest.approx(75.0)
        assert math.isnan(scores["APs"])
        assert math.isnan(scores["APl"])
    written = json.loads((tmp_path / "out/lvis_instances_results.json").read_text())
    assert [r["category_id"] for r in written] == [1, 2, 3, 1, 1, 2]


def test_a_limit_on_the_predictions_of_an_image(registered: Path) -> None:
    # What is left is not counted in one image and wrong in the other.
    rows = [row for row in FOUND if row[3] > 0.94 and row[1] != 2]
    assert len(rows) == 2
    results = feed(LVISEvaluator(NAME, max_dets_per_image=1), [*rows, *FOUND[3:4]], masks=False)
    assert results["bbox"]["AP"] == pytest.approx(0.0)


def test_no_predictions(registered: Path) -> None:
    results = feed(LVISEvaluator(NAME), [], masks=False)
    assert all(math.isnan(score) for score in results["bbox"].values())


def test_no_images(registered: Path) -> None:
    evaluator = LVISEvaluator(NAME)
    evaluator.reset()
    assert evaluator.evaluate() == {}


def test_annotations_that_are_kept_secret(registered: Path, tmp_path: Path) -> None:
    write_truth(registered, [])
    evaluator = LVISEvaluator(NAME, output_dir=str(tmp_path / "out"))
    assert feed(evaluator, FOUND, masks=False) == {}
    assert (tmp_path / "out/lvis_instances_results.json").exists()
