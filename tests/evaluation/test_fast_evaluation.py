"""The quick COCO evaluation gives pycocotools' numbers, whatever is evaluated."""

import contextlib
import io

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from faster_coco_eval import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CATEGORIES = (2, 5, 9)
SIDE = 150


def draw_box(random: np.random.Generator) -> list[float]:
    """xywh; now and then of an area that stands between small and medium, or of none."""
    x, y = random.integers(0, 50, 2).astype(float)
    kind = random.random()
    if kind < 0.2:
        return [x, y, 32.0, 32.0]
    if kind < 0.23:
        return [x, y, 0.0, 5.0]
    return [x, y, *random.integers(1, 100, 2).astype(float)]


def shape_of(box: list[float]) -> dict:
    x, y, w, h = map(int, box)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[y : y + h, x : x + w] = 1
    shape = mask_utils.encode(np.asfortranarray(mask))
    return {**shape, "counts": shape["counts"].decode()}


def draw_truth(random: np.random.Generator, images: int) -> COCO:
    annotations = []
    for image in range(images):
        for _ in range(random.integers(0, 6)):
            box = draw_box(random)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(random.choice(CATEGORIES[:2])),  # of the third there is none
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(random.random() < 0.15),
                    "segmentation": shape_of(box),
                }
            )
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image, "width": SIDE, "height": SIDE} for image in range(images)],
        "categories": [{"id": category, "name": str(category)} for category in CATEGORIES],
        "annotations": annotations,
    }
    with silence():
        truth.createIndex()
    return truth


def draw_detections(random: np.random.Generator, truth: COCO, of_image: int, task: str) -> list:
    """Around objects and elsewhere, with scores of which many are equal."""
    detections = []
    for image in truth.imgs:
        known = [annotation["bbox"] for annotation in truth.imgToAnns[image]]
        for _ in range(random.integers(0, of_image + 1)):
            box = draw_box(random)
            if known and random.random() < 0.6:
                box = known[random.integers(len(known))]
                box = [max(0.0, side + random.integers(-3, 4)) for side in box]
            found = {"image_id": image, "category_id": int(random.choice(CATEGORIES))}
            found |= {"bbox": box} if task == "bbox" else {"segmentation": shape_of(box)}
            detections.append({**found, "score": float(random.integers(1, 20)) / 20})
    return detections


def silence() -> contextlib.AbstractContextManager:
    return contextlib.redirect_stdout(io.StringIO())


def evaluate(
    kind: type, truth: COCO, detections: list, task: str, limits: list[int], images: list[int]
) -> dict:
    with silence():
        run = kind(truth, truth.loadRes([dict(each) for each in detections]), task)
        run.params.maxDets, run.params.imgIds = limits, images
        run.evaluate()
        run.accumulate()
    return run.eval


@pytest.mark.parametrize("task", ["bbox", "segm"])
@pytest.mark.parametrize("limits", [[1, 10, 100], [1, 1, 1], [1, 2, 3], [1, 10, 300]], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_all_numbers_are_those_of_pycocotools(task: str, limits: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = draw_truth(random, images=12)
    detections = draw_detections(random, truth, of_image=30, task=task)
    images = [*truth.imgs][seed:]  # some of them
    given = (truth, detections, task, limits, images)
    found, expected = (evaluate(kind, *given) for kind in (COCOeval_faster, COCOeval))
    for name in ("precision", "recall", "scores"):
        numbers = np.asarray(found[name]).reshape(expected[name].shape)
        np.testing.assert_allclose(numbers, expected[name], rtol=0, atol=1e-12, err_msg=name)
    assert (expected["precision"] > 0).any()


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_nothing_to_find(task: str) -> None:
    random = np.random.default_rng(0)
    truth = draw_truth(random, images=3)
    truth.dataset["annotations"] = []
    with silence():
        truth.createIndex()
    detections = draw_detections(random, truth, of_image=5, task=task)
    given = (truth, detections, task, [1, 10, 100], [*truth.imgs])
    found, expected = (evaluate(kind, *given) for kind in (COCOeval_faster, COCOeval))
    for name in ("precision", "recall"):
        assert (np.asarray(found[name]) == -1).all()
        assert (expected[name] == -1).all()
