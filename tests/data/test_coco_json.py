"""What is wrong in a COCO json is said in one sentence that names the file and the annotation."""

import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdetr_d2.data.coco_json import (
    CocoJson,
    Labels,
    Problem,
    category_mismatch,
    evaluated_area,
    evaluation_gaps,
    find_problems,
    guess_box_format,
    read_coco_json,
    unused_classes,
)
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.overrides import apply_overrides
from hdetr_d2.errors import UserError


def problems(content: dict, **options: Any) -> list[Problem]:
    """All but that of the crowd, which is sound."""
    found = find_problems(CocoJson("a.json", **content), **options)
    return [problem for problem in found if problem.kind != "crowds"]


def gaps(content: dict) -> list[Problem]:
    return list(evaluation_gaps(CocoJson("a.json", **content)))


def only(content: dict, **options: Any) -> Problem:
    (problem,) = problems(content, **options)
    return problem


def test_a_sound_json_has_no_problems(coco: dict) -> None:
    assert problems(coco) == []


def test_classes_are_in_the_order_of_their_ids(coco: dict) -> None:
    assert CocoJson("a.json", **coco).class_names() == ["cat", "dog"]


def test_usable_images_have_an_object_that_is_no_crowd(coco: dict) -> None:
    line = {"image_id": 3, "category_id": 3, "bbox": [0, 0, 5, 1], "segmentation": [[0, 0, 5, 1]]}
    coco["annotations"].append({"id": 4, **line})
    assert CocoJson("a.json", **coco).objects_per_image() == {1: 2}


def test_images_of_a_class_are_counted_once_in_the_order_of_the_labels(coco: dict) -> None:
    again = {**coco["annotations"][1], "id": 4}
    dog = {**again, "id": 5, "image_id": 3}
    coco["annotations"] += [again, dog]
    coco["categories"].append({"id": 4, "name": "cow"})
    # Ids 3, 4, 7; the cat of image 2 is a crowd.
    assert CocoJson("a.json", **coco).images_per_class() == [1, 0, 2]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.json does not exist"):
        read_coco_json(tmp_path / "none.json")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_coco_json(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"images": [\n1,]}', "is not valid JSON: .*line 2, column"),
        (b"", "is not valid JSON: .*line 1, column 1"),
        (b"\xff\xfe\x00", "it is not text in UTF-8"),
        (b"[]", "has no list 'images'"),
        (b'{"images": [], "categories": []}', "has no list 'annotations'"),
        (b'{"images": [1], "annotations": [], "categories": []}', "no list 'images' of objects"),
        (
            b'{"images": [{"id": [1]}], "annotations": [], "categories": []}',
            "'id' of 'images' must",
        ),
        (
            b'{"images": [], "annotations": [], "categories": [{"id": 1}, {"id": "x"}]}',
            "'id' of 'categories' must be all numbers or all words, and 'x' is none of these",
        ),
    ],
)
def test_a_broken_file_is_one_sentence(text: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(text)
    with pytest.raises(UserError, match=rf"broken\.json .*{message}"):
        read_coco_json(path)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([1, 2, math.nan, 4], "not four finite numbers"),
        ([1, 2, math.inf, 4], "not four finite numbers"),
        ([1, 2, 3], "not four finite numbers"),
        ([], "not four finite numbers"),
        (None, "not four finite numbers"),
        ([1, 2, "3", 4], "not four finite numbers"),
        ([20, 20, -5, 5], "negative width or height"),
    ],
)
def test_a_broken_box_is_an_error(box: object, fault: str, coco: dict) -> None:
    coco["annotations"][1]["bbox"] = box
    problem = only(coco)
    assert problem.is_error
    assert problem.text == f"a.json: annotation 2 of image 1 has bbox {box}: {fault}"


@pytest.mark.parametrize("box", [[5, 5, 0, 4], [5, 5, 4, 0], [40, 5, 9, 9], [-20, 5, 9, 9]])
def test_a_box_without_area_is_only_a_warning(box: list[int], coco: dict) -> None:
    for i in range(20):  # sound ones, so that the odd one is no sign of another format
        coco["annotations"].append(
            {**coco["annotations"][0], "id": 10 + i, "bbox": [2, 3, 9, i + 1]}
        )
    coco["annotations"][1]["bbox"] = box
    problem = only(coco)
    assert not problem.is_error
    assert "so it is left out" in problem.text


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("category_id", 5, "has category_id 5, which is not in 'categories' (3..7)"),
        ("image_id", 8, "annotation 2 of image 8: no such image"),
    ],
)
def test_a_wrong_value_is_named(key: str, value: object, message: str, coco: dict) -> None:
    coco["annotations"][1][key] = value
    problem = only(coco)
    assert problem.is_error
    assert message in problem.text


@pytest.mark.parametrize("key", ["image_id", "category_id", "bbox"])
def test_a_missing_key_is_named(key: str, coco: dict) -> None:
    del coco["annotations"][1][key]
    assert only(coco).text.endswith(f"has no '{key}'")


@pytest.mark.parametrize("value", [None, 0, -1, "word", 2**70, [1]])
def test_ids_of_annotations_are_only_names(value: object, coco: dict) -> None:
    coco["annotations"][1]["id"] = value
    assert problems(coco) == gaps(coco) == []
    del coco["annotations"][1]["id"]
    assert problems(coco) == gaps(coco) == []


def test_a_name_that_is_used_twice_is_said(coco: dict) -> None:
    coco["annotations"][1]["id"] = 1
    problem = only(coco)
    assert not problem.is_error
    assert "1 annotation ids are used more than once (1): they are" in problem.text


@pytest.mark.parametrize("area", [0, -4.0, math.nan, math.inf, 2e10, 0.2, 1e4])
def test_an_area_that_cannot_be_is_said(area: float, coco: dict) -> None:
    coco["annotations"][1]["area"] = area  # of a box of 300 pixels
    (problem,) = gaps(coco)
    assert not problem.is_error
    assert "1 annotations have an 'area' that cannot be: evaluation takes that of" in problem.text
    assert problem.text.endswith("(annotations 2)")


@pytest.mark.parametrize(
    ("segmentation", "area"),
    [
        (None, 300),
        ([[20, 5, 30, 5, 30, 15, 20, 15], [30, 15, 34, 15, 34, 25]], 120),
        ([[20, 5, 30, 5]], 300),
        ({"size": [30, 40], "counts": [100, 7, 5, 3, 1085]}, 10),
        ([[0, 0, 400, 0, 400, 400, 0, 400]], 300),  # of another object
    ],
)
def test_an_area_is_that_of_the_mask_or_the_box(segmentation: object, area: float) -> None:
    annotation = {"bbox": [20, 5, 15, 20], "segmentation": segmentation}
    assert evaluated_area(annotation) == area
    # A thin mask in a large box is possible; in fractions it is not.
    thin = {"bbox": [0, 0, 2000, 2000], "segmentation": [[0, 0, 2000, 2000, 2000, 2001]]}
    assert evaluated_area({**thin, "area": 1000.0}) == 1000
    assert evaluated_area({**thin, "area": 0.01}) == 1000


def test_images_and_categories_are_checked(coco: dict) -> None:
    coco["images"] += [{"id": 1, "width": 0, "height": 5}, {"file_name": "a"}]
    coco["categories"] += [{"id": 3, "name": "cow"}, {"id": 9}]
    texts = [problem.text for problem in problems(coco)]
    assert "a.json: image 1 has no 'file_name'" in texts
    assert "a.json: image 1 has width 0 and height 5; both must be positive" in texts
    assert "a.json: image number 4 has no 'id'" in texts
    assert "a.json: image id 1 is used more than once" in texts
    assert "a.json: category id 3 is used more than once" in texts
    assert "a.json: category number 3 needs an 'id' and a 'name'" in texts


def test_classes_of_one_name_are_a_warning(coco: dict) -> None:
    coco["categories"].append({"id": 9, "name": "dog"})
    problem = only(coco)
    assert "several categories have the name 'dog'" in problem.text and not problem.is_error


def test_classes_that_differ_in_capitals_or_spaces_are_a_warning(coco: dict) -> None:
    coco["categories"] += [{"id": 9, "name": "Dog "}, {"id": 10, "name": "cow"}]
    similar = [each for each in problems(coco) if each.kind == "similar category names"]
    assert [each.text.rpartition(": ")[2] for each in similar] == ["'dog', 'Dog '"]
    assert not similar[0].is_error


def test_duplicates_are_counted(coco: dict) -> None:
    first, second, crowd = coco["annotations"]
    coco["annotations"] += [{**each, "id": 10 + i} for i, each in enumerate([first] * 3 + [second])]
    problem = only(coco)
    assert not problem.is_error
    assert problem.text == (
        "a.json: 4 of 7 annotations have the image, class and box of another one, as in image 1 "
        "(1.png): a query each learns the same object, and evaluation counts it as often"
    )


@pytest.mark.parametrize("other", [{"image_id": 3}, {"category_id": 7}, {"bbox": [2, 3, 10, 11]}])
def test_another_image_class_or_box_is_another_object(other: dict, coco: dict) -> None:
    first, _, crowd = coco["annotations"]
    assert first | other != first
    coco["annotations"] += [{**first, **other, "id": 10}, {**crowd, "id": 11}]
    assert problems(coco) == []


def test_crowds_are_counted(coco: dict) -> None:
    (problem,) = find_problems(CocoJson("a.json", **coco))
    assert not problem.is_error
    assert problem.text == (
        "a.json: 1 of 3 annotations are crowds (iscrowd; annotations 3): they are not learned, "
        "and evaluation ignores them and what is found there; data.crowds_as_objects=True reads "
        "them as objects"
    )


def test_keys_in_another_manner_are_told(coco: dict) -> None:
    for image in coco["images"]:
        image["fileName"] = image.pop("file_name")
    for annotation in coco["annotations"]:
        annotation["isCrowd"] = annotation.pop("iscrowd")
    kinds = {problem.kind: problem for problem in problems(coco)}
    assert set(kinds) == {"key in another manner", "image without file_name"}
    texts = [problem.text for problem in problems(coco) if problem.is_error]
    assert "a.json: 3 of 3 images have 'fileName' where COCO has 'file_name'" in texts
    assert "a.json: 3 of 3 annotations have 'isCrowd' where COCO has 'iscrowd'" in texts
    coco["images"] = [{**image, "file_name": f"{image['id']}.png"} for image in coco["images"]]
    assert all("images have" not in problem.text for problem in problems(coco))


def test_a_file_that_is_listed_twice_is_told(coco: dict) -> None:
    coco["images"][2]["file_name"] = "1.png"
    assert only(coco).text == "a.json: images 1, 3 are all the file '1.png'"
    assert not only(coco).is_error


def test_paths_of_windows_are_told(coco: dict) -> None:
    coco["images"][1]["file_name"] = "train\\2.png"
    assert "1 of 3 file names have backslashes" in only(coco).text
    assert not only(coco).is_error


def test_categories_without_objects_are_told(coco: dict) -> None:
    assert list(unused_classes(CocoJson("a.json", **coco))) == []
    coco["categories"][0]["supercategory"] = "animals"
    coco["categories"] += [{"id": 0, "name": "animals"}, {"id": 9, "name": "cow"}]
    (problem,) = unused_classes(CocoJson("a.json", **coco))
    assert not problem.is_error
    assert problem.text == (
        "a.json: 2 of 4 categories have no object: animals (id 0, a parent), cow (id 9); "
        '"data.skip_classes=[animals,cow]" leaves such out of training and evaluation'
    )


def test_the_option_that_leaves_classes_out_can_be_typed(coco: dict) -> None:
    names = ["Weißes Körperchen", "it's, a [cow]", "null", "fourth"]
    coco["categories"] += [{"id": 10 + i, "name": name} for i, name in enumerate(names)]
    (problem,) = unused_classes(CocoJson("a.json", **coco))
    text, _, end = problem.text.partition("; ")[2].partition(" leaves ")
    assert end == "these 3 out of training and evaluation"
    cfg = load_config("custom/deformable_detr_coco_json_small.py")
    apply_overrides(cfg, shlex.split(text))
    assert cfg.data.skip_classes == names[:3]


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ((["cat", "dog"], [1, 2]), (["cat", "dog"], [1, 2]), None),
        ((["cat", "dog"], None), (["cat", "dog"], [5, 7]), None),
        (
            (["cat", "dog"], [1, 2]),
            (["dog", "cat"], [1, 2]),
            "number the classes differently: id 1 is 'cat' in A and 'dog' in B, "
            "id 2 is 'dog' in A and 'cat' in B",
        ),
        (
            (["cat", "dog"], [1, 2]),
            (["cat", "dog"], [1, 3]),
            "number the classes differently: id 2 is 'dog' in A and nothing in B, "
            "id 3 is nothing in A and 'dog' in B",
        ),
        (
            (["cat", "dog"], [1, 2]),
            (["cat"], [1]),
            "must have the same categories: only A has ['dog']",
        ),
        (
            (["cat", "dog"], None),
            (["dog", "cat"], None),
            "number the classes differently: ['cat', 'dog'] and ['dog', 'cat']",
        ),
    ],
)
def test_what_an_id_means_in_which_file(first: Labels, second: Labels, text: str | None) -> None:
    assert category_mismatch(first, second, ("A", "B")) == text


def test_many_boxes_outside_are_an_error(coco: dict) -> None:
    for i in range(3):
        outside = {**coco["annotations"][0], "id": 10 + i, "bbox": [100, 5, 3, 20]}
        coco["annotations"].append(outside)
    problem = only(coco)
    assert problem.is_error
    assert "3 of 6 boxes lie more than half outside of their images (annotations 10" in problem.text
    assert "data.sizes_from_files=True" in problem.text


def test_no_categories_is_said(coco: dict) -> None:
    coco.update(categories=[], annotations=[])
    assert only(coco).text == "a.json has no categories"


@pytest.mark.parametrize("key", ["area", "iscrowd"])
def test_evaluation_reads_more_than_training(key: str, coco: dict) -> None:
    assert gaps(coco) == []
    del coco["annotations"][1][key]
    assert problems(coco) == []
    (problem,) = gaps(coco)
    assert f"1 annotations have no '{key}': evaluation takes" in problem.text
    assert not problem.is_error


def test_a_test_set_may_keep_its_annotations(coco: dict, tmp_path: Path) -> None:
    del coco["annotations"]
    path = tmp_path / "test.json"
    path.write_text(json.dumps(coco))
    with pytest.raises(UserError, match="it has no list 'annotations'"):
        read_coco_json(path)
    (problem,) = evaluation_gaps(read_coco_json(path, annotated=False))
    assert "test.json has no annotations" in problem.text and not problem.is_error


def test_lvis_names_its_files_by_address(coco: dict) -> None:
    for image in coco["images"]:
        image["coco_url"] = "http://host/train2017/" + image.pop("file_name")
    for annotation in coco["annotations"]:
        del annotation["iscrowd"]
    assert problems(coco, is_lvis=True) == []


XYWH = np.array([[10, 10, 20, 20], [60, 40, 30, 50], [50, 70, 40, 20], [80, 80, 15, 10]], float)
SIZES = np.full((4, 2), 100.0)


def test_the_format_of_boxes_is_recognised() -> None:
    corners = np.concatenate([XYWH[:, :2], XYWH[:, :2] + XYWH[:, 2:]], axis=1)
    centres = np.concatenate([XYWH[:, :2] + XYWH[:, 2:] / 2, XYWH[:, 2:]], axis=1)
    assert guess_box_format(XYWH, SIZES) is None
    assert guess_box_format(corners, SIZES) == "corners (x1, y1, x2, y2)"
    assert guess_box_format(centres, SIZES) == "centre, width, height"
    assert guess_box_format(XYWH / 100, SIZES) == "fractions of the image size"
    assert guess_box_format(XYWH[:0], SIZES[:0]) is None


def test_a_few_boxes_beyond_the_edge_are_no_other_format() -> None:
    boxes = np.tile(XYWH, (10, 1))
    boxes[3] = [90, 90, 95, 95]
    assert guess_box_format(boxes, np.full((40, 2), 100.0)) is None


def test_the_wrong_format_is_said_once(
    coco: dict, write: Callable[[dict], tuple[Path, Path]]
) -> None:
    for annotation in coco["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["bbox"] = [x, y, x + w, y + h]
    path, _ = write(coco)
    problem, *_ = (p for p in find_problems(read_coco_json(path)) if p.is_error)
    assert "the boxes look like corners (x1, y1, x2, y2); COCO's are x, y, width" in problem.text


def test_nan_in_a_file_is_read_and_found(coco: dict, tmp_path: Path) -> None:
    coco["annotations"][0]["bbox"][2] = math.nan
    (tmp_path / "nan.json").write_text(json.dumps(coco))
    problem, *_ = (p for p in find_problems(read_coco_json(tmp_path / "nan.json")) if p.is_error)
    assert "annotation 1 of image 1 has bbox [2, 3, nan, 10]" in problem.text
