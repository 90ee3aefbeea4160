"""Panoptic data: from PNG and json to instances, and the quality of what a model says of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from PIL import Image

from hdetr_d2.data import PanopticMapper, register_datasets
from hdetr_d2.errors import UserError
from hdetr_d2.evaluation import PanopticEvaluator

NAME = "test_panoptic"
SKY, CAT, GRASS, CROWD = 3, 70_000, 256, 9
PICTURE = np.full((8, 10), SKY)
PICTURE[4:] = GRASS
PICTURE[2:6, 3:7] = CAT
PICTURE[0, :2] = CROWD
PICTURE[7, 9] = 0
CATEGORIES = [
    {"id": 4, "name": "sky", "isthing": 0},
    {"id": 2, "name": "cat", "isthing": 1},
    {"id": 9, "name": "grass", "isthing": 0},
]


def content() -> dict:
    segments = [(SKY, 4, 0), (CAT, 2, 0), (GRASS, 9, 0), (CROWD, 2, 1)]
    return {
        "images": [{"id": 11, "file_name": "a.jpg", "height": 8, "width": 10}],
        "categories": CATEGORIES,
        "annotations": [
            {
                "image_id": 11,
                "file_name": "a.png",
                "segments_info": [
                    {"id": i, "category_id": c, "iscrowd": crowd, "bbox": [0, 0, 9, 9], "area": 9}
                    for i, c, crowd in segments
                ],
            }
        ],
    }


def annotation(image_id: int, segments: list[tuple]) -> dict:
    given = [{"id": i, "category_id": c} for i, c in segments]
    return {"image_id": image_id, "file_name": "a.png", "segments_info": given}


@pytest.fixture
def data(tmp_path: Path) -> dict:
    """The `data` section of a config for one image with three segments and a crowd."""
    colours = np.stack([PICTURE % 256, PICTURE // 256 % 256, PICTURE // 256**2], -1)
    Image.fromarray(colours.astype(np.uint8)).save(tmp_path / "a.png")
    Image.new("RGB", (10, 8)).save(tmp_path / "a.jpg")
    (tmp_path / "a.json").write_text(json.dumps(content()))
    options = {"name": NAME, "images": str(tmp_path), "panoptic": str(tmp_path)}
    options["json"] = str(tmp_path / "a.json")
    return {f"{split}_{key}": v for split in ("train", "val") for key, v in options.items()}


def test_all_categories_are_classes_and_some_are_things(data: dict) -> None:
    info = register_datasets(data)
    assert info.class_names == ["cat", "sky", "grass"]
    assert info.thing_classes == [0]
    assert info.image_counts == [1, 1, 1]
    assert info.most_objects == 4
    assert register_datasets(data) == info  # twice is once
    entry = DatasetCatalog.get(NAME)[0]
    assert [(s["category_id"], s["isthing"]) for s in entry["segments_info"]] == [
        (1, False),
        (0, True),
        (2, False),
        (0, True),
    ]


def test_segments_become_instances_with_tight_boxes(data: dict) -> None:
    register_datasets(data)
    item = PanopticMapper(with_masks=True)(DatasetCatalog.get(NAME)[0])
    instances = item["instances"]
    assert instances.gt_classes.tolist() == [1, 0, 2, 0]  # the crowd too, as in DETR
    assert instances.gt_boxes.tensor.tolist() == [
        [0, 0, 10, 4],
        [3, 2, 7, 6],
        [0, 4, 10, 8],
        [0, 0, 2, 1],
    ]
    for mask, segment in zip(instances.gt_masks.tensor, (SKY, CAT, GRASS, CROWD), strict=True):
        assert np.array_equal(mask.numpy(), segment == PICTURE)


def test_a_model_that_says_the_truth_but_for_one_class(data: dict) -> None:
    register_datasets(data)
    item = PanopticMapper(is_train=False)(DatasetCatalog.get(NAME)[0])
    assert "instances" not in item
    found = [{"id": SKY, "category_id": 1}, {"id": CAT, "category_id": 0}]
    evaluator = PanopticEvaluator(NAME)
    assert evaluator.evaluate() == {}
    evaluator.process([item], [{"panoptic_seg": (torch.from_numpy(PICTURE), found)}])
    results = evaluator.evaluate()["panoptic_seg"]
    assert results["PQ"] == pytest.approx(100 * 2 / 3)
    assert results["PQ_th"] == results["SQ_th"] == 100
    assert results["PQ_st"] == results["RQ_st"] == 50
    evaluator.reset()
    assert evaluator.evaluate() == {}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"categories": [{"id": 1, "name": "x"}]}, "a category has no 'isthing'"),
        ({"categories": CATEGORIES * 2}, "2 categories have the id 4"),
        ({"annotations": [{"image_id": 11}]}, "an annotation has no 'segments_info'"),
        ({"annotations": [annotation(11, [])] * 2}, "2 annotations have the image_id 11"),
        ({"annotations": [annotation(77, [])]}, "annotation of image 77: there is no such image"),
        ({"annotations": [annotation(11, [(0, 4)])]}, "image 11: a segment has the id 0"),
        ({"annotations": [annotation(11, [(3, 4)] * 2)]}, "image 11: 2 segments have the id 3"),
        ({"annotations": [annotation(11, [("a", 4)])]}, "needs an 'id' that is a whole number"),
        ({"annotations": [annotation(11, [(8, 4)])]}, "has the ids 3, 9, 256, ..., and none of"),
        ({"images": [{"id": 11, "file_name": "a.jpg", "width": 10}]}, "an image has no 'height'"),
        ({"annotations": None}, "lacks one of images, annotations"),
        ({"categories": CATEGORIES[:1]}, "unknown category id 2"),
    ],
)
def test_a_json_of_another_kind(data: dict, change: dict, sentence: str) -> None:
    Path(data["val_json"]).write_text(json.dumps({**content(), **change}))
    with pytest.raises(UserError, match=sentence):
        register_datasets(data)


def test_images_without_an_annotation_are_told(
    data: dict, caplog: pytest.LogCaptureFixture
) -> None:
    more = [{"id": i, "file_name": f"{i}.jpg", "height": 8, "width": 10} for i in range(20, 25)]
    Path(data["val_json"]).write_text(
        json.dumps({**content(), "images": [*content()["images"], *more]})
    )
    register_datasets(data)
    assert "5 of 6 images have no annotation, and are neither" in caplog.text
    assert "evaluated on: 20, 21, 22, ..." in caplog.text


@pytest.mark.parametrize(
    ("segments", "sentence"),
    [
        ([(SKY, 4), (CAT, 2)], "a.png has ids that are not listed, as no segment: 9, 256"),
        (
            [(SKY, 4), (CAT, 2), (GRASS, 9), (CROWD, 2), (55, 2)],
            "a.png has no pixel of the segments 55",
        ),
    ],
)
def test_png_and_json_that_agree_in_part_are_told(
    data: dict, segments: list, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    changed = {**content(), "annotations": [annotation(11, segments)]}
    Path(data["val_json"]).write_text(json.dumps(changed))
    register_datasets(data)
    assert "1 PNGs of 1 that were looked into agree with the json only in part" in caplog.text
    assert f"image 11: {data['val_images']}/{sentence}" in caplog.text
    item = PanopticMapper(with_masks=True)(DatasetCatalog.get(NAME)[0])
    assert item["instances"].gt_classes.tolist()[:2] == [1, 0]
    # What is not listed is void: no prediction is wrong for lying there.
    found = [
        {"id": SKY, "category_id": 1},
        {"id": CAT, "category_id": 0},
        {"id": GRASS, "category_id": 2},
    ]
    evaluator = PanopticEvaluator(NAME)
    evaluator.process([item], [{"panoptic_seg": (torch.from_numpy(PICTURE), found)}])
    assert evaluator.evaluate()["panoptic_seg"]["PQ_st"] == 100


def test_data_without_stuff_have_no_panoptic_quality() -> None:
    with pytest.raises(UserError, match="not a panoptic data set"):
        PanopticEvaluator("coco_2017_val")
