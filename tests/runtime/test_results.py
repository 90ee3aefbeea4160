import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pycocotools.mask as mask_utils
import torch
from pycocotools.coco import COCO

from hdetr_d2.inference import coco_content, coco_results
from hdetr_d2.visualization import Shapes

SHAPES = Shapes(
    torch.tensor([[10.0, 20.0, 30.0, 60.0], [0.0, 0.0, 5.0, 5.0]]),
    torch.tensor([1, 0]),
    torch.tensor([0.75, 0.5]),
)


def test_a_box_becomes_x_y_width_height_and_a_class_its_name() -> None:
    first, second = coco_results(SHAPES, ["cat", "dog"], image_id=7, file_name="a.jpg")
    assert first == {
        "image_id": 7,
        "file_name": "a.jpg",
        "category_id": 2,
        "category_name": "dog",
        "score": 0.75,
        "bbox": [10, 20, 20, 40],
    }
    assert second["category_id"] == 1


def test_masks_become_rle_that_json_takes() -> None:
    masks = torch.zeros(2, 8, 6, dtype=torch.bool)
    masks[0, 2:4, 1:5] = True
    shapes = Shapes(SHAPES.boxes, SHAPES.classes, SHAPES.scores, masks)
    first, second = json.loads(
        json.dumps(coco_results(shapes, ["cat", "dog"], image_id=1, file_name="a"))
    )
    assert mask_utils.decode(first["segmentation"]).tolist() == masks[0].int().tolist()
    assert mask_utils.area(second["segmentation"]) == 0


def test_pycocotools_reads_the_file(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 80}]
    results = coco_results(SHAPES, ["cat", "dog"], image_id=7, file_name="a.jpg")
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(coco_content(images, results, ["cat", "dog"])))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    assert [a["area"] for a in coco.loadAnns(coco.getAnnIds(imgIds=[7]))] == [800, 25]
    assert {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())} == {1: "cat", 2: "dog"}


def test_no_detections_are_an_empty_file() -> None:
    content = coco_content([], [], ["cat"])
    assert content["annotations"] == []
    assert content["images"] == []


def test_the_area_of_a_mask_is_that_of_the_mask() -> None:
    mask = np.zeros((4, 5), np.uint8, order="F")
    mask[1:3, 1] = 1
    encoded = mask_utils.encode(mask)
    segmentation = {"size": [4, 5], "counts": encoded["counts"].decode()}
    result = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 4], "score": 0.5}
    (entry,) = coco_content([], [{**result, "segmentation": segmentation}], ["a"])["annotations"]
    assert entry["area"] == 2.0
