"""Registration: names, counts and every mistake at the start as one sentence."""

import json
import logging
import re
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
    with pytest.raises(
        UserError, match=r"data\.val_name: unknown data set .*coco_2017_val"
    ) as told:
        register_datasets(data)
    assert str(told.value).endswith(
        "; for a COCO json of your own give data.val_json and data.val_images, "
        "for a folder data.folder (--data)"
    )


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
    shutil.copytree(images, images / "train2017")
    for image in coco["images"]:
        image["coco_url"] = "http://host/train2017/" + image.pop("file_name")
    json_file.write_text(json.dumps(coco))
    DatasetCatalog.register("lvis_like", list)
    metadata = MetadataCatalog.get("lvis_like").set(evaluator_type="lvis", image_root=f"{images}/")
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
    with pytest.raises(UserError, match=r"3 of 3 images of .* do not exist: .*1\.png, "):
        register_datasets(data, {"train": {"on_bad_image": "skip"}})


@pytest.mark.parametrize(("split", "loader"), [("train", "train"), ("val", "test")])
def test_all_missing_images_are_found_at_the_start(
    split: str, loader: str, data: dict, coco: dict, write: Write, caplog: Log
) -> None:
    use(data, write, coco, split)
    folder = Path(data[f"{split}_images"])
    for name in ("2.png", "3.png"):
        (folder / name).unlink()
    text = rf"2 of 3 images of .*other_{split}\.json do not exist: {folder}/2\.png, {folder}/3\.png"
    with pytest.raises(
        UserError, match=rf"{text}; dataloader\.{loader}\.on_bad_image=skip goes on"
    ):
        register_datasets(data)
    skipping = {"train": {}, "test": {}, loader: {"on_bad_image": "skip"}}
    assert register_datasets(data, skipping).num_train_images == 1
    assert re.search(rf"{text}; they are skipped", caplog.text)


def test_missing_images_of_a_function_are_found(data: dict) -> None:
    DatasetCatalog.register("gone", lambda: [{"image_id": 0, "file_name": "/gone/0.png"}])
    MetadataCatalog.get("gone").thing_classes = ["cat", "dog"]
    known_by_name(data, "train", "gone")
    with pytest.raises(UserError, match="1 of 1 images of the data set 'gone' do not exist"):
        register_datasets(data)


def test_paths_of_windows_are_told(data: dict, coco: dict, write: Write) -> None:
    use(data, write, coco)
    for image in coco["images"]:
        image["file_name"] = "train\\" + image["file_name"]
    Path(data["train_json"]).write_text(json.dumps(coco))
    with pytest.raises(UserError, match=r"do not exist: .*as of Windows, are no folders here"):
        register_datasets(data)


def test_the_first_error_is_told_and_the_others_counted(
    data: dict, coco: dict, write: Write
) -> None:
    coco["annotations"][0]["bbox"] = [5, 5, -1, 5]
    coco["annotations"][1]["category_id"] = 99
    use(data, write, coco)
    with pytest.raises(
        UserError, match=r"annotation 2 .*category_id 99.*\(and 1 more; hdetr-d2 check-data"
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
    record = next(r for r in caplog.records if "no area" in r.message)
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
        UserError,
        match=r"only .*data\.json has \['dog'\] and only .*other_val\.json has \['wolf'\]",
    ):
        register_datasets(data)


def test_the_same_names_under_other_ids_are_an_error(data: dict, coco: dict, write: Write) -> None:
    coco["categories"][0]["id"] = 8
    coco["annotations"][1]["category_id"] = 8
    use(data, write, coco, "val")
    with pytest.raises(
        UserError, match=r"id 7 is 'dog' in .*data\.json and nothing in .*val\.json"
    ):
        register_datasets(data)


def test_nothing_to_train_on(data: dict, coco: dict, write: Write) -> None:
    coco["annotations"] = coco["annotations"][2:]  # the crowd
    use(data, write, coco)
    text = (
        "nothing to learn in 'pets_train': none of its 3 images has an object that is no crowd; "
        "data.crowds_as_objects=True reads its 1 crowds as objects"
    )
    for keep_empty in (False, True):
        with pytest.raises(UserError, match=text) as caught:
            register_datasets({**data, "keep_empty": keep_empty})
        assert "keep_empty" not in str(caught.value)  # which would only hide it
    assert register_datasets({**data, "crowds_as_objects": True}).num_train_images == 1
    coco["annotations"] = []
    use(data, write, coco)
    with pytest.raises(UserError, match="nothing to learn in 'pets_empty': .* no crowd$"):
        register_datasets({**data, "train_name": "pets_empty"})


def found_by(evaluator: COCOEvaluator, image_id: int, *found: tuple[int, list[float]]) -> None:
    """Let the evaluator see detections (label, x1 y1 x2 y2) of an image of 40 x 30."""
    boxes = torch.tensor([box for _, box in found], dtype=torch.float32)
    instances = Instances((30, 40), pred_boxes=Boxes(boxes), scores=torch.ones(len(found)))
    instances.set("pred_classes", torch.tensor([label for label, _ in found]))
    evaluator.process([{"image_id": image_id}], [{"instances": instances}])


def test_crowds_can_be_objects_in_training_and_evaluation(data: dict, tmp_path: Path) -> None:
    crowds = {**data, "crowds_as_objects": True}
    assert register_datasets(crowds).num_train_images == 2
    entries = dataset_dicts("pets_train", keep_empty=False)
    assert [[a["iscrowd"] for a in entry["annotations"]] for entry in entries] == [[0, 0], [0]]
    # All but the former crowd are found: half of the cats.
    evaluator = COCOEvaluator("pets_val", output_dir=str(tmp_path), use_fast_impl=False)
    evaluator.reset()
    found_by(evaluator, 1, (0, [2, 3, 12, 13]), (1, [20, 5, 35, 25]))
    results = evaluator.evaluate()["bbox"]
    assert results["AP-cat"] == pytest.approx(100 * 51 / 101)  # a recall of 0.5, of 101 points
    assert results["AP-dog"] == pytest.approx(100)
    # The same name, read as it stands again.
    assert register_datasets(data) == PETS
    assert len(dataset_dicts("pets_train", keep_empty=False)) == 1


def test_a_name_of_others_can_be_read_by_rules_too(data: dict) -> None:
    register_coco_instances("others", {}, data["train_json"], data["train_images"])
    known_by_name(data, "train", "others")
    assert register_datasets(data).num_train_images == 1
    assert register_datasets({**data, "crowds_as_objects": True}).num_train_images == 2
    assert len(dataset_dicts("others", keep_empty=False)) == 2


def test_what_is_no_coco_json_is_not_changed_in_silence(data: dict) -> None:
    DatasetCatalog.register("function", list)
    MetadataCatalog.get("function").thing_classes = ["cat", "dog"]
    known_by_name(data, "val", "function")
    with pytest.raises(UserError, match=r"data\.sizes_from_files is for COCO's instances only"):
        register_datasets({**data, "sizes_from_files": True})


def test_a_parent_without_objects_can_be_left_out(
    data: dict, coco: dict, write: Write, caplog: Log
) -> None:
    coco["categories"].append({"id": 0, "name": "animals"})
    use(data, write, coco)  # the validation json lacks it
    with pytest.raises(UserError, match=r"only .*other_train\.json has \['animals'\]"):
        register_datasets(data)
    said = '1 of 3 categories have no object: animals (id 0); "data.skip_classes=[animals]" leaves'
    assert said in caplog.text
    assert register_datasets({**data, "skip_classes": ["animals"]}) == PETS
    assert [a["category_id"] for a in DatasetCatalog.get("pets_train")[0]["annotations"]] == [0, 1]
    assert MetadataCatalog.get("pets_train").thing_classes == ["cat", "dog"]
    with pytest.raises(UserError, match="no data set has a class 'animal'; there are: animals"):
        register_datasets({**data, "skip_classes": ["animal"]})


def test_objects_of_a_skipped_class_go_with_it(data: dict, tmp_path: Path) -> None:
    info = register_datasets({**data, "skip_classes": ["dog"]})
    assert info == DatasetInfo(["cat"], 1, most_objects=1, image_counts=[1])
    evaluator = COCOEvaluator("pets_val", output_dir=str(tmp_path), use_fast_impl=False)
    evaluator.reset()
    found_by(evaluator, 1, (0, [2, 3, 12, 13]))
    assert evaluator.evaluate()["bbox"]["AP"] == pytest.approx(100)


def test_sizes_can_be_those_of_the_files(data: dict, coco: dict, write: Write) -> None:
    use(data, write, coco)
    for image in coco["images"]:
        image["width"], image["height"] = 4, 3
    Path(data["train_json"]).write_text(json.dumps(coco))
    with pytest.raises(
        UserError, match=r"3 of 3 boxes lie more than half outside.*sizes_from_files"
    ):
        register_datasets(data)
    assert register_datasets({**data, "sizes_from_files": True}) == PETS
    entry = DatasetCatalog.get("pets_train")[0]
    assert (entry["width"], entry["height"]) == (40, 30)


def test_where_masks_are_learned_objects_without_one_are_told_at_the_start(
    data: dict, coco: dict, write: Write, caplog: Log
) -> None:
    coco["annotations"][0]["segmentation"] = [[2, 3, 12, 3, 12, 13, 2, 13]]
    for split in ("train", "val"):
        use(data, write, coco, split)
    masks = {"train": {"mapper": {"with_masks": True}}}
    with pytest.raises(UserError, match=r"has no segmentation, and .*on_missing_mask=skip"):
        register_datasets(data, masks)
    info = register_datasets({**data, "on_missing_mask": "skip"}, masks)
    assert info == DatasetInfo(["cat", "dog"], 1, most_objects=1, image_counts=[1, 0])
    assert "left out of training and evaluation" in caplog.text
    assert [len(e["annotations"]) for e in DatasetCatalog.get("pets_train")] == [1, 0, 0]
    # Boxes alone are learned as they are.
    assert register_datasets(data) == PETS


def test_a_good_box_with_a_bad_polygon_is_learned_without(
    data: dict, coco: dict, write: Write, caplog: Log
) -> None:
    coco["annotations"][0]["segmentation"] = [[2, 3, 12, 13]]
    coco["annotations"][1]["segmentation"] = [[500, 3, 520, 3, 520, 13]]
    use(data, write, coco)
    assert register_datasets(data) == PETS
    assert "2 x segmentation that gives no mask" in caplog.text
    entry = dataset_dicts("pets_train", keep_empty=False)[0]
    assert [a.get("segmentation") for a in entry["annotations"]] == [None, None]


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
