"""Images in and objects out, around a graph."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from hdetr_d2.data import DetrMapper, RandomShortSide
from hdetr_d2.errors import UserError
from hdetr_d2.pixels.resize_rule import ResizeRule
from hdetr_d2.pixels.roundings import ROUNDINGS
from hdetr_d2.runtime.card import Card
from hdetr_d2.runtime.scaled import NearestMasks
from hdetr_d2.runtime.session import ExportedDetector, fed, stacked
from hdetr_d2.structures import ScaledMasks

CARD = Card(
    class_names=("a", "b"),
    short_side=None,
    max_size=None,
    size=None,
    batch=None,
    multiple=32,
    least=64,
    pixel_mean=(0.0, 0.0, 0.0),
    pixel_std=(1.0, 1.0, 1.0),
    pixel_range=None,
    precision="float32",
    outputs=("scores", "labels", "boxes", "queries"),
    version="0",
)


def card(**changes: object) -> Card:
    from dataclasses import replace

    return replace(CARD, **changes)


class Echo:
    """Finds an object in the left half of each image, and an empty and an impossible one."""

    def __init__(self, own: Card = CARD) -> None:
        self.card = own
        self.seen: list[dict] = []

    def run(self, inputs: dict) -> dict:
        self.seen.append(inputs)
        boxes = []
        for height, width in inputs["originals"].tolist():
            boxes.append([[0, 0, 0, 5], [0, 0, width / 2, height], [1, 1, 2, 2]])
        number = len(boxes)
        found = {
            "scores": np.tile(np.array([0.9, 0.5, -np.inf], np.float32), (number, 1)),
            "labels": np.tile(np.array([0, 1, 0]), (number, 1)),
            "boxes": np.array(boxes, np.float32),
            "queries": np.zeros((number, 3), np.int64),
        }
        if "masks" in self.card.outputs:
            found["masks"] = np.ones((number, 3, *inputs["images"].shape[2:]), bool)
        return found


def image(height: int, width: int) -> dict:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return {"file_name": "noise", "image": pixels}


def test_empty_and_impossible_boxes_are_left_out() -> None:
    detector = ExportedDetector(Echo(), "echo")
    (shapes,) = detector.find([detector.read(image(40, 50))])
    assert shapes.boxes.tolist() == [[0, 0, 25, 40]]
    assert (shapes.classes.tolist(), shapes.scores.tolist()) == ([1], [0.5])


def test_images_lie_at_the_top_left_of_whole_cells() -> None:
    detector = ExportedDetector(Echo(), "echo")
    batch = [detector.read(image(40, 50)), detector.read(image(70, 33))]
    detector.find(batch)
    (inputs,) = detector.session.seen
    assert inputs["images"].shape == (2, 3, 96, 64)
    assert inputs["sizes"].tolist() == inputs["originals"].tolist() == [[40, 50], [70, 33]]
    for row, item in zip(inputs["images"], batch, strict=True):
        height, width = item["original"]
        assert (row[:, :height, :width] == item["image"].transpose(2, 0, 1)).all()
        assert not row[:, height:].any() and not row[:, :, width:].any()


def test_a_fixed_graph_is_filled_with_black_images() -> None:
    detector = ExportedDetector(Echo(card(size=(64, 96), batch=2)), "echo")
    batch = [detector.read(image(*size)) for size in ((64, 96), (128, 128), (30, 300))]
    found = detector.find(batch)
    assert [len(shapes) for shapes in found] == [1, 1, 1]
    first, second = detector.session.seen
    assert first["sizes"].tolist() == [[64, 96], [64, 64]]
    assert first["originals"].tolist() == [[64, 96], [128, 128]]
    assert second["sizes"].tolist() == [[10, 96], [64, 96]]
    assert not second["images"][1].any()


@pytest.mark.parametrize(
    ("size", "rule"),
    [
        ((480, 640), (800, 1333)),
        ((300, 1000), (800, 1333)),
        ((77, 50), (64, None)),
        ((9, 9), (4, 5)),
    ],
)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_the_resize_rule_is_that_of_the_mapper(size: tuple, rule: tuple, rounding: str) -> None:
    given = tv_tensors.Image(torch.zeros(3, *size, dtype=torch.uint8))
    expected = RandomShortSide([rule[0]], rule[1], ResizeRule(rounding))(given).shape[-2:]
    own = card(short_side=rule[0], max_size=rule[1], rounding=rounding)
    assert own.fed_size(*size) == tuple(expected)


@pytest.mark.parametrize("interpolation", ["pillow", "opencv"])
def test_pixels_are_those_of_the_mapper(interpolation: str) -> None:
    pixels = image(60, 45)
    resize = RandomShortSide([32], 40, ResizeRule("detr", interpolation))
    expected = DetrMapper(augmentations=[resize], is_train=False)(pixels)["image"]
    own = card(short_side=32, max_size=40, rounding="detr", interpolation=interpolation)
    assert (fed(pixels["image"], own)["image"].transpose(2, 0, 1) == expected.numpy()).all()


def test_a_card_tells_its_rule_and_one_of_before_has_our_own() -> None:
    own = card(rounding="mmdetection", interpolation="opencv")
    assert Card.from_json(own.to_json(), "f") == own
    before = json.loads(own.to_json())
    del before["rounding"], before["interpolation"]
    assert Card.from_json(json.dumps(before), "f").rule == ResizeRule()
    before["rounding"] = "of tomorrow"
    with pytest.raises(UserError, match="the card of f cannot be read"):
        Card.from_json(json.dumps(before), "f")
    with pytest.raises(UserError, match="the card of f cannot be read"):
        Card.from_json("{}", "f")


def test_pixels_are_those_of_training_but_for_rounding() -> None:
    pixels = image(120, 90)["image"]
    expected = F.resize(
        tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1)), [64, 48], antialias=True
    )
    found = fed(pixels, card(short_side=48))["image"].transpose(2, 0, 1).astype(int)
    difference = np.abs(found - expected.numpy().astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02
    assert fed(pixels, card(short_side=90))["image"] is pixels


def test_a_single_image_fills_a_fixed_size() -> None:
    fixed = card(size=(64, 96))
    item = {"image": np.ones((64, 96, 3), np.uint8), "original": (64, 96)}
    assert stacked([item], fixed, 1)["images"].all()


def test_masks_are_those_of_scaled_masks() -> None:
    small = np.random.default_rng(0).random((3, 17, 23)) > 0.5
    for size in ((17, 23), (34, 46), (50, 21), (7, 100)):
        ours, theirs = NearestMasks(small, size), ScaledMasks(torch.from_numpy(small), size)
        assert (np.stack(list(ours)) == theirs.tensor.numpy()).all()
        assert ours.rles() == theirs.rles()
        assert len(ours[np.array([True, False, True])]) == 2


def test_masks_of_detections() -> None:
    own = card(outputs=("scores", "labels", "boxes", "queries", "masks"))
    detector = ExportedDetector(Echo(own), "echo")
    (shapes,) = detector.find([detector.read(image(40, 50))])
    (mask,) = shapes.masks
    assert mask.shape == (40, 50) and mask.all()


def test_a_card_as_text() -> None:
    fixed = card(size=(64, 96), batch=2)
    assert Card.from_json(fixed.to_json(), "x") == fixed
    with pytest.raises(UserError, match=r"x\.onnx does not describe its classes"):
        Card.from_json(None, "x.onnx")
    with pytest.raises(UserError, match=r"the card of x\.onnx cannot be read"):
        Card.from_json('{"class_names": []}', "x.onnx")


def test_a_graph_without_detections_is_no_detector() -> None:
    own = card(outputs=("query_scores", "query_boxes"))
    with pytest.raises(UserError, match="--raw"):
        ExportedDetector(Echo(own), "raw.onnx")


def test_a_file_array_and_image_of_pillow(tmp_path) -> None:
    """All of `Predictor` around a session."""
    from hdetr_d2 import Predictor

    predictor = object.__new__(Predictor)
    predictor.detector = ExportedDetector(Echo(), "echo")
    Image.new("RGB", (50, 40)).save(tmp_path / "a.png")
    results = predictor([tmp_path / "a.png", np.zeros((40, 50, 3), np.uint8)], batch_size=2)
    assert [result["bbox"] for result in results] == [[0, 0, 25, 40]] * 2
    assert [result["category_name"] for result in results] == ["b", "b"]
