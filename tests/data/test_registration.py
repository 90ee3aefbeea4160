"""Registration: names, counts and every mistake at the start as one sentence."""

import json
import logging
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyCall as L
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.evaluation import COCOEvaluator
from detectron2.structures import Boxes, Instances
from omegaconf import OmegaConf

from hdetr_d2.data.loader import build_train_loader, dataset_dicts
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.data.registration import DatasetInfo, register_datasets
from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.errors import UserError

Write = Callable[..., tuple[Path, Path]]
Log = pytest.LogCaptureFixture
PETS = DatasetInfo(["cat", "dog"], 1, most_objects=2, image_counts=[1, 1])
"""What the small data set is: the cat of the second image is a crowd."""


@pytest.fixture
def data(coco: dict, write: Write) -> dict:
    """The same small data set for training and validation."""
    json_file, images = map(str, write(coco))
    return {
        f"{split}_{key}": value
        for split in ("train", "val")
        for key, value in (("name", f"pets_{split}"), ("json", json_file), ("images", images))
    }


def known_by_name(data: dict, split: str, name: str) -> None:
    """Let a split be a data set that is registered already."""
    data.update({f"{split}_name": name, f"{split}_json": None, f"{split}_images": None})


def use(data: dict, write: Write, coco: dict, split: str = "train") -> None:
    """Put another json in the place of one of the data's."""
    json_file, images = write(coco, name=f"other_{split}")
    data.update({f"{split}_json": str(json_file), f"{split}_images": str(images)})


def test_classes_and_count_come_from_the_json(data: dict) -> None:
    assert register_datasets(data) == PETS
    assert register_datasets({**data, "keep_empty": True}).num_train_images == 3


def test_evaluation_needs_the_validation_data_only(data: dict) -> None:
    data["train_json"] += ".missing"
    assert register_datasets(data, for_training=False) == DatasetInfo(["cat", "dog"], None)
    with pytest.raises(UserError, match=r"\.missing does not exist"):
        register_datasets(data)


def test_a_config_node_is_as_good_as_a_dict(data: dict) -> None:
    assert register_datasets(OmegaConf.create(data)) == PETS


@pytest.mark.parametrize("keep_empty", [False, True])
def test_the_count_is_that_of_the_loader(
    keep_empty: bool, data: dict, coco: dict, write: Write
) -> None:
    line = {"image_id": 3, "category_id": 3, "bbox": [0, 0, 5, 1], "segmentation": [[0, 0, 5, 1]]}
    coco["annotations"].append({"id": 4, "iscrowd": 0, **line})
    use(data, write, coco)
    count = register_datasets({**data, "keep_empty": keep_empty}).num_train_images
    assert count == len(dataset_dicts("pets_train", keep_empty=keep_empty))


def test_rare_classes_lengthen_an_epoch(data: dict, coco: dict, write: Write, caplog: Log) -> None:
    # Ten images have a cat, one of them a dog: in a tenth of the images, with a threshold of 0.9 it
    # comes sqrt(9) = 3 times.
    coco["images"] = [{**coco["images"][0], "id": i, "file_name": f"{i}.png"} for i in range(10)]
    cat, dog, _ = coco["annotations"]
    coco["annotations"] = [{**cat, "id": i + 1, "image_id": i} for i in range(10)]
    coco["annotations"].append({**dog, "id": 20, "image_id": 4})
    use(data, write, coco)
    use(data, write, coco, "val")
    with caplog.at_level(logging.INFO, logger="hdetr_d2"):
        assert register_datasets({**data, "repeat_threshold": 0.9}).num_train_images == 12
    assert "1 of the 10 images of 'pets_train' have a rarer class and come up to 3.0" in caplog.text
    assert register_datasets(data).num_train_images == 10
    mapper = DetrMapper()
    options = {"total_batch_size": 12, "num_workers": 0, "repeat_threshold": 0.9}
    loader = build_train_loader(dataset="pets_train", mapper=mapper, **options)
    ids = Counter(d["image_id"] for d in next(iter(loader)))
    assert ids == {i: 3 if i == 4 else 1 for i in range(10)}


def test_labels_follow_the_order_of_the_category_ids(data: dict) -> None:
    register_datasets(data)
    entries = DatasetCatalog.get("pets_train")
    assert [a["category_id"] for a in entries[0]["annotations"]] == [0, 1]
    assert MetadataCatalog.get("pets_train").thing_classes == ["cat", "dog"]


def test_registering_twice_changes_nothing(data: dict) -> None:
    assert register_datasets(data) == register_datasets(data)
    dataset_dicts("pets_train", keep_empty=True)
    assert register_datasets(data).num_train_images == 1


def test_a_name_belongs_to_one_json(data: dict, coco: dict, write: Write) -> None:
    register_datasets(data)
    use(data, write, coco)
    with pytest.raises(UserError, match=r"'pets_train' is taken by .* another data\.train_name"):
        register_datasets(data)


def test_one_data_set_may_be_both(data: dict) -> None:
    data["val_name"] = data["train_name"]
    assert register_datasets(data).num_train_images == 1


def test_an_unknown_name_gets_its_neighbours(data: dict) -> None:
    known_by_name(data, "val", "coco_2017_vall")
    with pytest.raises(UserError, match=r"data\.val_name: unknown data set .*coco_2017_val"):
        register_datasets(data)


def test_a_known_name_without_its_files_names_the_json(data: dict, tmp_path: Path) -> None:
    known_by_name(data, "train", "coco_2017_train")
    with pytest.raises(UserError, match=r"instances_train2017\.json does not exist"):
        register_datasets(data)


def test_a_known_name_must_have_the_classes_that_belong_to_it(data: dict) -> None:
    DatasetCatalog.register("known", list)
    files = {"json_file": data["train_json"], "image_root": data["train_images"]}
    metadata = MetadataCatalog.get("known").set(evaluator_type="coco", **files)
    metadata.thing_classes = ["cat", "bird"]
    known_by_name(data, "train", "known")
    with pytest.raises(UserError, match=r"2 categories \(cat, dog, \.\.\.\), which are not the 2"):
        register_datasets(data)


def test_lvis_has_its_own_keys(coco: dict, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    json_file, images = write(coco, name="lvis")
    for image in coco["images"]:
        image["coco_url"] = "http://host/train2017/" + image.pop("file_name")
    json_file.write_text(json.dumps(coco))
    DatasetCatalog.register("lvis_like", list)
    metadata = MetadataCatalog.get("lvis_like").set(evaluator_type="lvis", image_root=str(images))
    metadata.set(json_file=str(json_file), thing_classes=["kitty", "dog"])
    both = {"train_name": "lvis_like", "val_name": "lvis_like"}
    assert register_datasets(both) == PETS
    # Detectron2 itself would import the package when it reads the data, too late for a sentence.
    monkeypatch.setitem(sys.modules, "lvis", None)
    with pytest.raises(UserError, match="pip install lvis"):
        register_datasets(both)


def test_a_data_set_of_the_users_own(data: dict) -> None:
    entries = [{"image_id": i, "annotations": [{"category_id": 1, "iscrowd": i}]} for i in (0, 1)]
    DatasetCatalog.register("own", lambda: entries)
    known_by_name(data, "train", "own")
    with pytest.raises(UserError, match="'own' has no thing_classes"):
        register_datasets(data)
    MetadataCatalog.get("own").thing_classes = ["cat", "dog"]
    assert register_datasets(data) == DatasetInfo(["cat", "dog"], 1, 1, image_counts=[0, 1])
    # What Detectron2's evaluator makes of the entries is no json of the user's.
    MetadataCatalog.get("own").json_file = "inference/own_coco_format.json"
    assert register_datasets(data).num_train_images == 1
    entries[0]["annotations"][0]["category_id"] = 2
    with pytest.raises(UserError, match=r"image 0 has the label 2, outside \[0, 2\)"):
        register_datasets(data)


def test_missing_files_are_named(data: dict) -> None:
    folder = data["train_images"]
    data["train_images"] = None
    with pytest.raises(UserError, match=r"data\.train_images \(the folder\) is not"):
        register_datasets(data)
    data["train_images"] = folder + "x"
    with pytest.raises(UserError, match="the image folder .*x does not exist"):
        register_datasets(data)
    with pytest.raises(UserError, match=r"data\.jsonx does not exist"):
        register_datasets({**data, "train_json": data["train_json"] + "x"})
    shutil.rmtree(folder)
    Path(folder).mkdir()
    data["train_images"] = folder
    with pytest.raises(UserError, match=r"are not in .*1\.png does not exist"):
        register_datasets(data)


def test_a_single_missing_image_is_left_to_the_loader(data: dict) -> None:
    (Path(data["train_images"]) / "1.png").unlink()
    assert register_datasets(data).num_train_images == 1


def test_the_first_error_is_told_and_the_others_counted(
    data: dict, coco: dict, write: Write
) -> None:
    coco["annotations"][0]["bbox"] = [5, 5, -1, 5]
    coco["annotations"][1]["category_id"] = 99
    use(data, write, coco)
    with pytest.raises(
        UserError, match=r"annotation 2 .*category_id 99.*\(and 1 more; tools/check"
    ):
        register_datasets(data)


def test_boxes_without_area_are_counted_in_the_log(
    data: dict, coco: dict, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    coco["annotations"] += [
        {**coco["annotations"][0], "id": 10 + i, "bbox": [5, 5, 0, 5]} for i in range(3)
    ]
    use(data, write, coco)
    with caplog.at_level(logging.WARNING, logger="hdetr_d2"):
        register_datasets(data)
    (record,) = caplog.records
    assert "3 x box: no area inside its image, so it is left out; the first:" in record.message
    assert "annotation 10 of image 1" in record.message


def test_training_reads_annotations_of_any_ids(data: dict, coco: dict, write: Write) -> None:
    for annotation in coco["annotations"]:
        annotation["id"] = "same"
    del coco["annotations"][0]["id"]
    use(data, write, coco)
    data["train_name"] = "pets_same_id"
    assert register_datasets(data) == PETS
    labels = [len(entry["annotations"]) for entry in dataset_dicts("pets_same_id", keep_empty=True)]
    assert labels == [2, 1, 0]


@pytest.mark.parametrize("by_name", [False, True])
def test_evaluation_fills_in_what_the_json_lacks(
    data: dict, coco: dict, write: Write, by_name: bool, tmp_path: Path, caplog: Log
) -> None:
    for annotation in coco["annotations"][:2]:
        del annotation["area"], annotation["iscrowd"]
    use(data, write, coco, "val")
    data["val_name"] = "pets_incomplete"
    if by_name:
        register_coco_instances("known", {}, data["val_json"], data["val_images"])
        known_by_name(data, "val", "known")
    for _ in range(2):
        register_datasets(data)
    assert "1 x annotations without area" in caplog.text
    dataset_dicts(data["val_name"], keep_empty=True)
    # What is found is what is there, but for the dog, who is found in the wrong place.
    evaluator = COCOEvaluator(data["val_name"], output_dir=str(tmp_path), use_fast_impl=False)
    evaluator.reset()
    for image_id, label, box in ((1, 0, [2, 3, 12, 13]), (1, 1, [0, 0, 4, 4])):
        found = Instances((30, 40), pred_boxes=Boxes(torch.tensor([box], dtype=torch.float32)))
        found.set("scores", torch.ones(1))
        found.set("pred_classes", torch.tensor([label]))
        evaluator.process([{"image_id": image_id}], [{"instances": found}])
    results = evaluator.evaluate()["bbox"]
    assert (results["AP-cat"], results["AP-dog"]) == pytest.approx((100, 0))


def test_a_test_set_without_annotations_can_be_predicted(
    data: dict, coco: dict, write: Write, caplog: Log
) -> None:
    del coco["annotations"]
    use(data, write, coco, "val")
    assert register_datasets(data, for_training=False) == DatasetInfo(["cat", "dog"], None)
    assert "has no annotations: predictions are written" in caplog.text
    assert len(dataset_dicts("pets_val", keep_empty=True)) == 3
    use(data, write, coco, "train")
    with pytest.raises(UserError, match="it has no list 'annotations'"):
        register_datasets({**data, "train_name": "pets_unannotated"})


def test_both_splits_have_the_same_categories(data: dict, coco: dict, write: Write) -> None:
    coco["categories"][0]["name"] = "wolf"
    use(data, write, coco, "val")
    with pytest.raises(
        UserError, match=r"only in the first \['dog'\], only in the second \['wolf'\]"
    ):
        register_datasets(data)


def test_the_same_names_under_other_ids_are_an_error(data: dict, coco: dict, write: Write) -> None:
    coco["categories"][0]["id"] = 8
    coco["annotations"][1]["category_id"] = 8
    use(data, write, coco, "val")
    with pytest.raises(UserError, match=r"other category ids: \[3, 7\] and \[3, 8\]"):
        register_datasets(data)


@pytest.mark.parametrize("keep_empty", [False, True])
def test_nothing_to_train_on(keep_empty: bool, data: dict, coco: dict, write: Write) -> None:
    coco["annotations"] = coco["annotations"][2:]  # the crowd
    use(data, write, coco)
    with pytest.raises(
        UserError, match="nothing to learn in 'pets_train': none of its 3 images has an object"
    ):
        register_datasets({**data, "keep_empty": keep_empty})


def test_nothing_to_evaluate_on(data: dict, coco: dict, write: Write) -> None:
    coco.update(images=[], annotations=[])
    use(data, write, coco, "val")
    with pytest.raises(UserError, match="'pets_val' has no images to evaluate on"):
        register_datasets(data)


@pytest.mark.parametrize("as_text", [False, True])
def test_data_are_generated_before_they_are_read(as_text: bool, tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    options = {"root": str(root), "num_train": 6, "num_val": 2, "image_size": 32}
    generate = L(generate_shapes)(**options)
    if as_text:
        generate = {"_target_": "hdetr_d2.data.shapes.generate_shapes", **options}
    data = {}
    for split in ("train", "val"):
        data[f"{split}_name"] = f"generated_{split}"
        data[f"{split}_json"] = f"{root}/annotations/{split}.json"
        data[f"{split}_images"] = f"{root}/{split}"
    info = register_datasets({**data, "generate": generate})
    assert info.class_names == ["circle", "square", "triangle", "cross"]
