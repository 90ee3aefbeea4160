"""A teacher's boxes by image, and on their way through the augmentations."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.structures import BoxMode
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from hdetr_d2.data import CopyBlend, CopyPaste, DetrMapper, During, MixUp, Mosaic, TeacherResults
from hdetr_d2.data.sample import Sample
from hdetr_d2.data.transforms import RandomShortSide
from hdetr_d2.errors import UserError
from hdetr_d2.utils.random_state import seeded

ALWAYS = During(p=1.0, end=1.0, max_iter=1, total_batch_size=1)


def boxes(corners: list[list[float]], size: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    rows = torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)
    return tv_tensors.BoundingBoxes(rows, format="XYXY", canvas_size=size)


def result(image: int, box: list[float], score: float, category: int = 7) -> dict:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


@pytest.fixture
def read(tmp_path: Path):
    """`read(results, **options)` of a data set with the categories 3 and 7."""
    MetadataCatalog.get("taught").set(thing_dataset_id_to_contiguous_id={3: 0, 7: 1})

    def read(results: object, **options: object) -> TeacherResults:
        (tmp_path / "results.json").write_text(json.dumps(results))
        return TeacherResults(str(tmp_path / "results.json"), dataset="taught", **options)

    return read


def entry(folder: Path, number: int) -> dict:
    """A picture of 40 x 30 with an object."""
    Image.fromarray(np.full((30, 40, 3), number, np.uint8)).save(folder / f"{number}.png")
    box = {"bbox": [0, 0, 8, 8], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0, "iscrowd": 0}
    return {"file_name": str(folder / f"{number}.png"), "image_id": number, "annotations": [box]}


def taught(mapped: dict) -> tuple[list, list, list]:
    found = mapped["teacher"]
    return (
        found.gt_boxes.tensor.tolist(),
        found.gt_classes.tolist(),
        [round(score, 3) for score in found.scores.tolist()],
    )


RESULTS = [
    result(5, [0, 0, 9, 9], 0.5),
    result(1, [10, 5, 20, 10], 0.6, 3),
    result(1, [30, 20, 20, 20], 0.9),
    result(1, [0, 0, 5, 5], 0.2),
    result(1, [4, 4, 0.2, 9], 0.8),
]


def test_the_boxes_of_an_image_best_first_and_clipped(read) -> None:
    found = read(RESULTS).on(1, 30, 40)
    assert found["boxes"].tolist()[::2] == [[30, 20, 40, 30], [10, 5, 30, 15]]
    assert found["labels"].tolist() == [1, 1, 0]
    assert found["scores"].tolist() == pytest.approx([0.9, 0.8, 0.6])
    assert len(read(RESULTS, num_boxes=2).on(1, 30, 40)["scores"]) == 2
    assert len(read(RESULTS, threshold=0.1).on(1, 30, 40)["scores"]) == 4
    assert read(RESULTS).on(2, 30, 40)["boxes"].shape == (0, 4)
    assert read([]).on(1, 30, 40)["boxes"].shape == (0, 4)


def test_they_are_flipped_resized_and_cropped_with_the_image(read, tmp_path: Path) -> None:
    augmentations = [
        v2.RandomHorizontalFlip(1.0),
        RandomShortSide([60], None),
        v2.CenterCrop([40, 60]),
    ]
    mapper = DetrMapper(augmentations=augmentations, teacher=read(RESULTS))
    mapped = mapper(entry(tmp_path, 1))
    # Flipped, twice as large, and 10 pixels less on all sides; the thin one has less than a pixel.
    assert mapped["image"].shape == (3, 40, 60)
    boxes, labels, scores = taught(mapped)
    assert boxes == [[0, 30, 10, 40], [10, 0, 50, 20]]
    assert (labels, scores) == ([1, 0], [0.9, 0.6])
    assert len(mapped["instances"]) == 1
    assert taught(mapper(entry(tmp_path, 2))) == ([], [], [])


def test_mosaics_and_blends_have_those_of_all_their_images(read, tmp_path: Path) -> None:
    results = [result(i, [i, 2, 10, 10], i / 10) for i in range(3, 9)]
    one, *others = (entry(tmp_path, i) for i in range(3, 9))
    still = {"rotation": 0.0, "translation": [0, 0], "scale": [1, 1], "side": 30}
    mosaic = DetrMapper(mosaic=Mosaic(when=ALWAYS, **still), teacher=read(results))
    boxes, _, scores = taught(mosaic(one, 0, others))
    assert scores == [0.3, 0.4, 0.5, 0.6]
    corners = [[3, 2], [44, 2], [5, 32], [46, 32]]
    assert boxes == [[x, y, x + 10, y + 10] for x, y in corners]
    mixed = DetrMapper(blends=[MixUp(when=ALWAYS)], teacher=read(results))
    boxes, _, scores = taught(mixed(one, 0, others))
    assert (boxes, scores) == ([[3, 2, 13, 12], [4, 2, 14, 12]], [0.3, 0.4])
    blended = DetrMapper(blends=[CopyBlend(when=ALWAYS, min_area=1)], teacher=read(results))
    assert taught(blended(one, 0, others))[2] == [0.3]


@pytest.mark.parametrize("seed", range(4))
def test_a_copied_object_takes_what_a_teacher_has_found_on_it_along(seed: int) -> None:
    size = (20, 30)
    found = [[12, 10, 30, 30], [11, 12, 41, 33], [0, 0, 50, 50], [20, 20, 30, 30]]
    under: Sample = {
        "image": tv_tensors.Image(torch.zeros(3, *size, dtype=torch.uint8)),
        "boxes": boxes([], size),
        "labels": torch.zeros(0, dtype=torch.int64),
        "found": {
            "boxes": boxes([[1, 1, 4, 4]], size),
            "labels": torch.tensor([2]),
            "scores": torch.tensor([0.3]),
        },
    }
    other: Sample = {
        "image": tv_tensors.Image(torch.full((3, 50, 50), 200, dtype=torch.uint8)),
        "boxes": boxes([[10, 10, 30, 35]], (50, 50)),  # longer than the other image is high
        "labels": torch.tensor([1]),
        "found": {
            "boxes": boxes(found, (50, 50)),
            "labels": torch.arange(4),
            "scores": torch.tensor([0.9, 0.8, 0.7, 0.6]),
        },
    }
    with seeded(seed):
        blended = CopyBlend(when=ALWAYS, margin=[0.0, 0.0])(under, other)
    left = int(blended["boxes"][0, 0])
    assert blended["boxes"].tolist() == [[left, 0, left + 20, 20]]
    # Their overlaps with the object: 360 / 500, 399 / 731; 500 / 2500 and 100 / 500 are of others.
    assert blended["found"]["boxes"].tolist() == [
        [1, 1, 4, 4],
        [left + 2, 0, left + 20, 20],
        [left + 1, 2, min(left + 31, 30), 20],
    ]
    assert blended["found"]["labels"].tolist() == [2, 0, 1]
    assert blended["found"]["scores"].tolist() == pytest.approx([0.3, 0.9, 0.8])
    assert other["found"]["boxes"].tolist() == found


def test_evaluation_has_no_teacher(read, tmp_path: Path) -> None:
    mapper = DetrMapper(is_train=False, teacher=read(RESULTS))
    assert "teacher" not in mapper(entry(tmp_path, 1))


def test_masks_and_teachers_do_not_go_together(read) -> None:
    for options in ({"with_masks": True}, {"copy_paste": CopyPaste()}):
        with pytest.raises(ValueError, match="boxes of a teacher have no masks"):
            DetrMapper(teacher=read([]), **options)


def test_what_is_no_result_is_named(read) -> None:
    with pytest.raises(UserError, match=r"results\.json: result 1 has no 'category_id'"):
        read([result(1, [0, 0, 1, 1], 0.5), {"image_id": 1}])


@pytest.mark.parametrize("category", [4, "cat"])
def test_a_category_that_the_data_set_has_not(read, category: int | str) -> None:
    results = [result(1, [0, 0, 1, 1], 0.5, each) for each in (7, category, 3, "dog")]
    with pytest.raises(UserError, match=f"data set 'taught' has no category {category!r}"):
        read(results)


def test_workers_get_it_by_pickle(read) -> None:
    results = read(RESULTS)
    one, two = (r.on(1, 30, 40) for r in (results, pickle.loads(pickle.dumps(results))))
    assert torch.equal(one["boxes"], two["boxes"])
