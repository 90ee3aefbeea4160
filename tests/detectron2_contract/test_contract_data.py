"""Catalogs, COCO and LVIS annotations, filters and the loader for inference."""

import hdetr_d2  # noqa: F401

import copy
import json
import pickle
from pathlib import Path

import pytest
from detectron2.data import (
    DatasetCatalog,
    DatasetFromList,
    MapDataset,
    MetadataCatalog,
    build_detection_test_loader,
    get_detection_dataset_dicts,
)
from detectron2.data.build import filter_images_with_only_crowd_annotations
from detectron2.data.datasets import (
    load_coco_json,
    load_lvis_json,
    register_coco_instances,
    register_lvis_instances,
)
from detectron2.data.samplers import InferenceSampler
from detectron2.structures import BoxMode

TRIANGLE = [1.0, 1.0, 9.0, 1.0, 9.0, 9.0]


@pytest.fixture
def name() -> str:
    return "contract_v1"


def coco() -> dict:
    """Three images (the last without objects) and categories 7 and 3, out of order."""
    return {
        "images": [
            {"id": 30, "file_name": "c.png", "height": 20, "width": 10},
            {"id": 10, "file_name": "a.png", "height": 40, "width": 50},
            {"id": 20, "file_name": "sub/b.png", "height": 40, "width": 50},
        ],
        "categories": [{"id": 7, "name": "seven"}, {"id": 3, "name": "three"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 10,
                "category_id": 7,
                "bbox": [1, 1, 8, 8],
                "iscrowd": 0,
                "area": 32,
                "segmentation": [TRIANGLE, [1.0, 2.0, 3.0, 4.0]],
                "colour": "red",
            },
            {
                "id": 2,
                "image_id": 10,
                "category_id": 3,
                "bbox": [0, 0, 50, 40],
                "iscrowd": 1,
                "area": 100,
                "segmentation": {"size": [40, 50], "counts": [0, 100, 1900]},
            },
            {"id": 3, "image_id": 20, "category_id": 3, "bbox": [2, 3, 4, 5], "area": 20},
        ],
    }


def written(folder: Path, content: dict) -> str:
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_a_data_set_is_loaded_when_it_is_asked_for(name: str) -> None:
    DatasetCatalog.register(name, lambda: [{"file_name": "a.png"}])
    assert name in DatasetCatalog
    assert name in DatasetCatalog.list()
    assert DatasetCatalog.get(name) == [{"file_name": "a.png"}]
    DatasetCatalog.remove(name)
    assert name not in DatasetCatalog


def test_a_name_is_registered_once(name: str) -> None:
    DatasetCatalog.register(name, list)
    with pytest.raises(AssertionError, match="already"):
        DatasetCatalog.register(name, list)


def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    DatasetCatalog.register(name, list)
    with pytest.raises(KeyError, match=f"no_such.*{name}"):
        DatasetCatalog.get("no_such")


def test_metadata_keep_their_values(name: str) -> None:
    meta = MetadataCatalog.get(name)
    assert meta.name == name
    assert MetadataCatalog.get(name) is meta
    assert meta.set(thing_classes=["a"], json_file="x.json") is meta
    meta.thing_classes = ["a"]
    with pytest.raises(AssertionError, match=r"thing_classes[\s\S]*\['b'\]"):
        meta.thing_classes = ["b"]
    assert meta.thing_classes == ["a"]
    assert meta.get("thing_colors") is None
    assert meta.get("thing_colors", 5) == 5
    assert not hasattr(meta, "thing_colors")
    with pytest.raises(AttributeError, match=f"thing_colors.*{name}"):
        _ = meta.thing_colors
    meta.as_dict()["json_file"] = "y.json"
    assert meta.json_file == "x.json"
    assert copy.deepcopy(meta).json_file == "x.json"


def test_coco_annotations(tmp_path: Path, name: str) -> None:
    dicts = load_coco_json(written(tmp_path, coco()), "/images", name, ["colour"])
    assert [d["image_id"] for d in dicts] == [10, 20, 30]
    assert dicts[1]["file_name"] == "/images/sub/b.png"
    assert (dicts[2]["height"], dicts[2]["width"]) == (20, 10)
    assert dicts[2]["annotations"] == []
    seven, crowd = dicts[0]["annotations"]
    assert seven == {
        "iscrowd": 0,
        "bbox": [1, 1, 8, 8],
        "category_id": 1,
        "colour": "red",
        "segmentation": [TRIANGLE],
        "bbox_mode": BoxMode.XYWH_ABS,
    }
    assert crowd["iscrowd"] == 1
    assert crowd["category_id"] == 0
    assert crowd["segmentation"]["size"] == [40, 50]
    assert isinstance(crowd["segmentation"]["counts"], bytes)
    assert "segmentation" not in dicts[1]["annotations"][0]
    assert MetadataCatalog.get(name).thing_classes == ["three", "seven"]
    assert MetadataCatalog.get(name).thing_dataset_id_to_contiguous_id == {3: 0, 7: 1}


def test_coco_ids_stay_without_a_name(tmp_path: Path) -> None:
    dicts = load_coco_json(written(tmp_path, coco()), "/images")
    assert [a["category_id"] for a in dicts[0]["annotations"]] == [7, 3]


def test_coco_without_annotations(tmp_path: Path, name: str) -> None:
    content = coco()
    del content["annotations"]
    dicts = load_coco_json(written(tmp_path, content), "/images", name)
    assert [d["annotations"] for d in dicts] == [[], [], []]


def test_coco_leaves_out_what_has_no_shape_and_no_image(tmp_path: Path, name: str) -> None:
    content = coco()
    content["annotations"][0]["segmentation"] = [[1.0, 2.0, 3.0, 4.0]]
    content["annotations"][2]["image_id"] = 99
    dicts = load_coco_json(written(tmp_path, content), "/images", name)
    assert [len(d["annotations"]) for d in dicts] == [1, 0, 0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"id": 2}, AssertionError, "unique"),
        ({"category_id": 5}, KeyError, "category_id=5"),
        ({"bbox": []}, ValueError, "image 10 .*empty 'bbox'"),
        ({"ignore": 1}, AssertionError, "ignore"),
    ],
)
def test_faulty_coco_annotations(
    tmp_path: Path, name: str, change: dict, error: type[Exception], message: str
) -> None:
    content = coco()
    content["annotations"][0].update(change)
    with pytest.raises(error, match=message):
        load_coco_json(written(tmp_path, content), "/images", name)


def test_coco_json_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        load_coco_json(str(tmp_path / "nothing.json"), "/images", name)


def test_coco_json_without_categories(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_coco_json(written(tmp_path, {**coco(), "categories": []}), "/images", name)


def test_register_coco_instances(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, coco())
    register_coco_instances(name, {"author": "me"}, path, "/images")
    meta = MetadataCatalog.get(name)
    assert (meta.json_file, meta.image_root) == (path, "/images")
    assert (meta.evaluator_type, meta.author) == ("coco", "me")
    assert len(DatasetCatalog.get(name)) == 3
    register_coco_instances(name, {"author": "me"}, path, "/images")
    with pytest.raises(AssertionError, match="json_file"):
        register_coco_instances(name, {}, "other.json", "/images")


def test_coco_and_lvis_are_registered() -> None:
    known = {"coco_2017_train", "coco_2017_val", "coco_2017_val_100"}
    assert known | {"lvis_v1_train", "lvis_v1_val"} <= set(DatasetCatalog.list())
    meta = MetadataCatalog.get("coco_2017_val")
    assert meta.json_file.endswith("coco/annotations/instances_val2017.json")
    assert meta.image_root.endswith("coco/val2017")
    assert len(meta.thing_classes) == 80
    ids = meta.thing_dataset_id_to_contiguous_id
    assert sorted(ids.values()) == list(range(80))
    assert list(ids) == sorted(ids)
    for category_id, class_name in {
        1: "person",
        13: "stop sign",
        44: "bottle",
        67: "dining table",
        70: "toilet",
        84: "book",
        90: "toothbrush",
    }.items():
        assert meta.thing_classes[ids[category_id]] == class_name
    lvis = MetadataCatalog.get("lvis_v1_val")
    assert lvis.json_file.endswith("lvis/lvis_v1_val.json")
    assert lvis.evaluator_type == "lvis"


def test_the_classes_of_panoptic_coco() -> None:
    meta = MetadataCatalog.get("coco_2017_val_panoptic")
    things = meta.thing_dataset_id_to_contiguous_id
    stuff = meta.stuff_dataset_id_to_contiguous_id
    assert list(things.values()) == list(range(80))
    assert list(stuff.values()) == list(range(80, 133))
    assert list(things | stuff) == sorted(things | stuff)
    assert meta.thing_classes == meta.stuff_classes
    names = {92: "banner", 147: "railroad", 168: "towel", 181: "window-other", 200: "rug-merged"}
    assert {i: meta.stuff_classes[stuff[i]] for i in names} == names


def test_lvis_annotations(tmp_path: Path, name: str) -> None:
    url = "http://images.cocodataset.org/train2017/000000000010.jpg"
    image = {"id": 10, "coco_url": url, "height": 40, "width": 50, "neg_category_ids": [2]}
    image["not_exhaustive_category_ids"] = [1]
    annotation = {"id": 1, "image_id": 10, "category_id": 2, "bbox": [1, 1, 8, 8], "area": 32}
    content = {
        "images": [image],
        "categories": [{"id": i, "name": n, "synonyms": [n]} for i, n in ((1, "ant"), (2, "bee"))],
        "annotations": [{**annotation, "segmentation": [TRIANGLE]}],
    }
    path = written(tmp_path, content)
    register_lvis_instances(name, {}, path, "coco/")
    (found,) = load_lvis_json(path, "coco/", name, ["area"])
    assert found["file_name"] == "coco/train2017/000000000010.jpg"
    assert found["neg_category_ids"] == [2]
    assert found["not_exhaustive_category_ids"] == [1]
    assert found["annotations"] == [
        {
            "bbox": [1, 1, 8, 8],
            "bbox_mode": BoxMode.XYWH_ABS,
            "category_id": 1,
            "segmentation": [TRIANGLE],
            "area": 32,
        }
    ]
    assert len(MetadataCatalog.get(name).thing_classes) >= 2
    content["annotations"][0]["segmentation"] = [[1.0, 2.0]]
    with pytest.raises(AssertionError, match="< 3 points"):
        load_lvis_json(written(tmp_path, content), "coco/")


def test_images_with_nothing_but_crowds_are_left_out() -> None:
    images: list[dict] = [
        {"annotations": []},
        {"annotations": [{"iscrowd": 1}]},
        {"annotations": [{"iscrowd": 1}, {"iscrowd": 0}]},
        {"annotations": [{}]},
    ]
    assert filter_images_with_only_crowd_annotations(images) == images[2:]


def test_dicts_of_several_data_sets(tmp_path: Path, name: str) -> None:
    register_coco_instances(name, {}, written(tmp_path, coco()), "/images")
    assert [d["image_id"] for d in get_detection_dataset_dicts(name)] == [10, 20]
    kept = get_detection_dataset_dicts([name], filter_empty=False)
    assert [d["image_id"] for d in kept] == [10, 20, 30]
    DatasetCatalog.register(f"{name}_other", lambda: kept[:1])
    assert len(get_detection_dataset_dicts([name, name], filter_empty=False)) == 6
    MetadataCatalog.get(f"{name}_other").thing_classes = ["three", "eight"]
    with pytest.raises(ValueError, match="thing_classes"):
        get_detection_dataset_dicts([name, f"{name}_other"])


def test_nothing_to_train_on(name: str) -> None:
    with pytest.raises(KeyError, match="no_such"):
        get_detection_dataset_dicts("no_such")
    DatasetCatalog.register(name, lambda: [{"annotations": []}])
    with pytest.raises(AssertionError, match=name):
        get_detection_dataset_dicts(name)
    DatasetCatalog.register(f"{name}_other", list)
    with pytest.raises(AssertionError, match=f"{name}_other.*empty"):
        get_detection_dataset_dicts(f"{name}_other")


@pytest.mark.parametrize("serialize", [True, False])
def test_a_list_as_data_set(serialize: bool) -> None:
    source = [{"x": [1]}, {"x": []}, {"x": [2, 3]}]
    dataset = DatasetFromList(source, serialize=serialize)
    dataset[0]["x"].append(9)
    assert [dataset[i] for i in range(len(dataset))] == source


def test_a_mapper_may_refuse_an_element() -> None:
    dataset = MapDataset([0, 1, 2], lambda x: None if x == 1 else 10 * x)
    assert len(dataset) == 3
    assert dataset[2] == 20
    assert dataset[1] in (0, 20)


def test_a_mapped_data_set_can_be_sent_to_a_worker() -> None:
    offset = 5
    dataset = MapDataset(DatasetFromList([1, 2]), lambda x: x + offset)
    assert pickle.loads(pickle.dumps(dataset))[1] == 7


def test_the_sampler_gives_every_index_once() -> None:
    assert list(InferenceSampler(5)) == [0, 1, 2, 3, 4]
    assert len(InferenceSampler(5)) == 5
    with pytest.raises(AssertionError):
        InferenceSampler(0)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_loader_for_inference(num_workers: int) -> None:
    images = [{"image_id": i} for i in range(5)]
    loader = build_detection_test_loader(
        images, mapper=lambda d: {**d, "seen": True}, batch_size=2, num_workers=num_workers
    )
    batches = list(loader)
    assert [[d["image_id"] for d in batch] for batch in batches] == [[0, 1], [2, 3], [4]]
    assert all(d["seen"] for batch in batches for d in batch)


def test_the_loader_takes_a_sampler_and_a_collate_function() -> None:
    loader = build_detection_test_loader(
        [1, 2, 3], mapper=None, sampler=[2, 0], batch_size=2, collate_fn=sum
    )
    assert list(loader) == [4]
