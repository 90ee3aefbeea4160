"""Evaluators: COCO's numbers are those of pycocotools."""

import hdetr_d2  # noqa: F401

import json
import logging
import math
from pathlib import Path

import numpy as np
import pycocotools.mask as mask_utils
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json, register_coco_instances
from detectron2.data.datasets.coco import convert_to_coco_dict
from detectron2.evaluation import (
    COCOEvaluator,
    DatasetEvaluator,
    DatasetEvaluators,
    inference_context,
    inference_on_dataset,
    print_csv_format,
)
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import Boxes, BoxMode, Instances
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

NAME = "contract_evaluation"
METRICS = ["AP", "AP50", "AP75", "APs", "APm", "APl"]
SIZE = (120, 100)  # height, width

# image, category id of the json, box xywh, crowd
TRUTH = [
    (1, 3, [10, 10, 40, 40], 0),
    (1, 8, [60, 60, 20, 20], 0),
    (2, 3, [0, 0, 99, 100], 0),
    (2, 3, [5, 100, 90, 18], 1),
    (2, 8, [30, 30, 10, 10], 0),
]
# image, class of the model, box xyxy, score
FOUND = [
    (1, 0, [12.0, 10.0, 50.0, 50.0], 0.9),
    (1, 0, [61.0, 60.0, 80.0, 80.0], 0.8),
    (1, 1, [58.0, 61.0, 79.0, 80.0], 0.7),
    (2, 0, [0.0, 10.0, 99.0, 100.0], 0.6),
    (2, 0, [10.0, 101.0, 60.0, 116.0], 0.95),
    (2, 1, [0.0, 0.0, 10.0, 10.0], 0.5),
]

BOXES = {
    "file_name": "a.png",
    "width": 10,
    "height": 10,
    "annotations": [
        {"bbox": [1, 2, 5, 8], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 1},
        {
            "bbox": [0, 0, 4, 4],
            "bbox_mode": BoxMode.XYXY_ABS,
            "category_id": 0,
            "segmentation": [[0, 0, 4, 0, 4, 4]],
        },
    ],
}


def mask_of(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[int(y1) : int(y2), int(x1) : int(x2)] = 1
    return mask


def truth() -> dict:
    annotations = []
    for i, (image, category, (x, y, w, h), crowd) in enumerate(TRUTH):
        rle = mask_utils.encode(np.asfortranarray(mask_of(x, y, x + w, y + h)))
        shape = {**rle, "counts": rle["counts"].decode()}
        annotations.append(
            {
                "id": i + 1,
                "image_id": image,
                "category_id": category,
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": crowd,
                "segmentation": shape,
            }
        )
    images = [
        {"id": i, "file_name": f"{i}.png", "height": SIZE[0], "width": SIZE[1]} for i in (1, 2)
    ]
    categories = [{"id": 8, "name": "eight"}, {"id": 3, "name": "three"}]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def json_file(tmp_path: Path) -> str:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth()))
    register_coco_instances(NAME, {}, str(path), str(tmp_path))
    DatasetCatalog.get(NAME)
    return str(path)


def instances(rows: list[tuple], masks: bool = False) -> Instances:
    found = Instances(SIZE)
    found.pred_boxes = Boxes(torch.tensor([row[2] for row in rows]).reshape(-1, 4))
    found.scores = torch.tensor([row[3] for row in rows])
    found.pred_classes = torch.tensor([row[1] for row in rows], dtype=torch.int64)
    if masks:
        shapes = np.array([mask_of(*row[2]) for row in rows]).reshape(-1, *SIZE)
        found.pred_masks = torch.from_numpy(shapes).bool()
    return found


def feed(evaluator: DatasetEvaluator, rows: list[tuple], masks: bool = False) -> dict:
    evaluator.reset()
    for image in (1, 2):
        mine = [row for row in rows if row[0] == image]
        evaluator.process([{"image_id": image}], [{"instances": instances(mine, masks)}])
    results = evaluator.evaluate()
    assert results is not None
    return results


def plain(json_file: str, task: str, max_dets: int = 100) -> COCOeval:
    """The same evaluation with pycocotools alone."""
    results = []
    for image, label, (x1, y1, x2, y2), score in FOUND:
        result = {"image_id": image, "category_id": [3, 8][label], "score": np.float32(score)}
        if task == "bbox":
            result["bbox"] = [x1, y1, x2 - x1, y2 - y1]
        else:
            result["segmentation"] = mask_utils.encode(np.asfortranarray(mask_of(x1, y1, x2, y2)))
        results.append({**result, "score": float(result["score"])})
    api = COCO(json_file)
    evaluation = COCOeval(api, api.loadRes(results), task)
    evaluation.params.maxDets = [1, 10, max_dets]
    evaluation.evaluate()
    evaluation.accumulate()
    if max_dets == 100:
        evaluation.summarize()
    return evaluation


def mean_precision(precision: np.ndarray) -> float:
    return float(precision[precision > -1].mean() * 100)


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_coco_scores_are_those_of_pycocotools(json_file: str, tmp_path: Path, task: str) -> None:
    output = tmp_path / "inference"
    evaluator = COCOEvaluator(NAME, output_dir=str(output), use_fast_impl=False)
    results = feed(evaluator, FOUND, masks=True)
    assert list(results) == ["bbox", "segm"]
    reference = plain(json_file, task)
    expected = [value * 100 if value >= 0 else math.nan for value in reference.stats[:6]]
    assert [results[task][name] for name in METRICS] == pytest.approx(expected, nan_ok=True)
    assert 0 < results[task]["AP"] < results[task]["AP50"] < 100
    precision = reference.eval["precision"]
    assert results[task]["AP-three"] == pytest.approx(mean_precision(precision[:, :, 0, 0, -1]))
    assert results[task]["AP-eight"] == pytest.approx(mean_precision(precision[:, :, 1, 0, -1]))
    written = json.loads((output / "coco_instances_results.json").read_text())
    assert [r["category_id"] for r in written] == [3, 3, 8, 3, 3, 8]
    assert written[0]["bbox"] == [12.0, 10.0, 38.0, 40.0]


def test_perfect_predictions(json_file: str) -> None:
    found = [
        (image, [3, 8].index(category), [float(v) for v in (x, y, x + w, y + h)], 0.9)
        for image, category, (x, y, w, h), crowd in TRUTH
        if not crowd
    ]
    results = feed(COCOEvaluator(NAME, use_fast_impl=False), found)
    assert list(results) == ["bbox"]
    assert [results["bbox"][m] for m in METRICS] == pytest.approx([100.0] * 6)


def test_a_limit_on_the_predictions_of_an_image(json_file: str) -> None:
    evaluator = COCOEvaluator(NAME, max_dets_per_image=1, use_fast_impl=False)
    results = feed(evaluator, FOUND)
    precision = plain(json_file, "bbox", max_dets=1).eval["precision"]
    assert results["bbox"]["AP"] == pytest.approx(mean_precision(precision[..., 0, -1]))
    assert results["bbox"]["AP50"] == pytest.approx(mean_precision(precision[0, ..., 0, -1]))


def test_no_predictions(json_file: str) -> None:
    results = feed(COCOEvaluator(NAME, use_fast_impl=False), [])
    assert [math.isnan(results["bbox"][m]) for m in METRICS] == [True] * 6


def test_no_images(json_file: str) -> None:
    evaluator = COCOEvaluator(NAME)
    evaluator.reset()
    assert evaluator.evaluate() == {}


def test_only_some_images(json_file: str) -> None:
    evaluator = COCOEvaluator(NAME, tasks=("bbox",), use_fast_impl=False)
    evaluator.reset()
    rows = [(1, 0, [10.0, 10.0, 50.0, 50.0], 0.9), (1, 1, [60.0, 60.0, 80.0, 80.0], 0.9)]
    evaluator.process([{"image_id": 1}], [{"instances": instances(rows)}])
    assert evaluator.evaluate(img_ids=[1])["bbox"]["AP"] == pytest.approx(100.0)
    assert feed(evaluator, rows)["bbox"]["AP"] == pytest.approx(100 * 51 / 101)


def test_annotations_that_are_kept_secret(tmp_path: Path) -> None:
    content = truth()
    del content["annotations"]
    (tmp_path / "test.json").write_text(json.dumps(content))
    MetadataCatalog.get(NAME).set(json_file=str(tmp_path / "test.json"))
    try:
        assert feed(COCOEvaluator(NAME, output_dir=str(tmp_path / "out")), FOUND) == {}
    finally:
        MetadataCatalog.pop(NAME)
    assert len(json.loads((tmp_path / "out/coco_instances_results.json").read_text())) == 6


def test_a_class_that_the_data_set_does_not_have(json_file: str) -> None:
    with pytest.raises(AssertionError, match=r"class=2.*\[0, 1\]"):
        feed(COCOEvaluator(NAME), [(1, 2, [0.0, 0.0, 5.0, 5.0], 0.5)])


def test_a_data_set_without_json() -> None:
    with pytest.raises(ValueError, match=r"."):
        COCOEvaluator("contract_without_json")
    MetadataCatalog.pop("contract_without_json")


@pytest.mark.parametrize("masks", [False, True])
def test_a_data_set_of_a_function_is_evaluated_on_what_it_returns(
    json_file: str, tmp_path: Path, masks: bool
) -> None:
    dicts = DatasetCatalog.get(NAME)
    for entry in dicts:
        for annotation in entry["annotations"]:
            annotation["bbox"] = BoxMode.convert(
                annotation["bbox"], BoxMode.XYWH_ABS, BoxMode.XYXY_ABS
            )
            annotation["bbox_mode"] = BoxMode.XYXY_ABS
            if not masks:
                del annotation["segmentation"]
    DatasetCatalog.register("contract_function", lambda: dicts)
    MetadataCatalog.get("contract_function").thing_classes = ["three", "eight"]
    both = [
        feed(COCOEvaluator(name, output_dir=str(tmp_path), use_fast_impl=False), FOUND, masks)
        for name in (NAME, "contract_function")
    ]
    for task in ("bbox", "segm") if masks else ("bbox",):
        assert both[1][task] == pytest.approx(both[0][task], nan_ok=True)


def test_a_data_set_as_coco_json(json_file: str) -> None:
    content = convert_to_coco_dict(NAME)
    for found, true in zip(content["images"], truth()["images"], strict=True):
        assert {**found, "file_name": Path(found["file_name"]).name} == true
    assert sorted(c["id"] for c in content["categories"]) == [3, 8]
    for found, true in zip(content["annotations"], truth()["annotations"], strict=True):
        assert {key: found[key] for key in true} == true
    DatasetCatalog.register("contract_boxes", lambda: [BOXES])
    MetadataCatalog.get("contract_boxes").thing_classes = ["one", "two"]
    content = convert_to_coco_dict("contract_boxes")
    assert content["categories"] == [{"id": 0, "name": "one"}, {"id": 1, "name": "two"}]
    assert content["annotations"][0].items() >= {"bbox": [1, 2, 4, 6], "area": 24}.items()
    assert content["annotations"][1].items() >= {"area": 8, "iscrowd": 0}.items()


def test_predictions_as_json() -> None:
    (result,) = instances_to_coco_json(instances(FOUND[:1], masks=True), 5)
    shape = result.pop("segmentation")
    assert result["bbox"] == [12.0, 10.0, 38.0, 40.0]
    assert (result["image_id"], result["category_id"]) == (5, 0)
    assert isinstance(shape["counts"], str)
    assert (mask_utils.decode(shape) == mask_of(12, 10, 50, 50)).all()
    assert instances_to_coco_json(instances([]), 5) == []


def test_ids_of_load_coco_json_and_evaluator_agree(json_file: str) -> None:
    dicts = load_coco_json(json_file, "", NAME)
    found = [
        (d["image_id"], a["category_id"], box, 1.0)
        for d in dicts
        for a in d["annotations"]
        if not a["iscrowd"]
        for x, y, w, h in [a["bbox"]]
        for box in [[float(x), float(y), float(x + w), float(y + h)]]
    ]
    results = feed(COCOEvaluator(NAME, use_fast_impl=False), found)
    assert results["bbox"]["AP"] == pytest.approx(100.0)


class Counter(DatasetEvaluator):
    """Counts, under a name of its own."""

    def __init__(self, task: str) -> None:
        self.task = task

    def reset(self) -> None:
        self.seen: list[int] = []

    def process(self, inputs: list[int], outputs: list[int]) -> None:
        self.seen += [i + 10 * o for i, o in zip(inputs, outputs, strict=True)]

    def evaluate(self) -> dict:
        return {self.task: {"sum": sum(self.seen)}}


def test_several_evaluators() -> None:
    both = DatasetEvaluators([Counter("a"), Counter("b")])
    both.reset()
    both.process([1, 2], [1, 1])
    assert dict(both.evaluate()) == {"a": {"sum": 23}, "b": {"sum": 23}}
    twice = DatasetEvaluators([Counter("a"), Counter("a")])
    twice.reset()
    with pytest.raises(AssertionError, match="same key"):
        twice.evaluate()


class Mode(nn.Module):
    """Returns one output for each input and remembers in what mode."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[tuple[bool, bool]] = []

    def forward(self, batch: list[int]) -> list[int]:
        self.modes.append((self.training, torch.is_grad_enabled()))
        return [1 for _ in batch]


def test_inference_sees_every_batch_once_in_eval_mode() -> None:
    model = Mode().train()
    calls: list[str] = []
    names = ("on_start", "before_inference", "after_inference", "on_end")
    callbacks = {name: lambda name=name: calls.append(name) for name in names}
    batches = [[i, i] for i in range(15)]
    results = inference_on_dataset(model, batches, [Counter("a")], callbacks)
    assert results == {"a": {"sum": 2 * sum(range(15)) + 30 * 10}}
    assert model.modes == [(False, False)] * 15
    assert model.training
    assert calls == ["on_start", *["before_inference", "after_inference"] * 15, "on_end"]


def test_inference_without_evaluator_with_a_function() -> None:
    assert inference_on_dataset(lambda batch: batch, [[1], [2]], None) == {}


def test_inference_without_batches() -> None:
    # A process beyond the number of images has none.
    assert inference_on_dataset(Mode(), [], Counter("a")) == {"a": {"sum": 0}}


@pytest.mark.parametrize("training", [True, False])
def test_inference_context(training: bool) -> None:
    model = Mode().train(training)
    with inference_context(model):
        assert not model.training
    assert model.training is training


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_results_for_a_table() -> None:
    handler = Lines()
    logger = logging.getLogger("detectron2.evaluation.testing")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        print_csv_format({"bbox": {"AP": 12.34567, "AP50": 20, "AP-cat": 5}, "time": 3})
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert handler.lines == [
        "copypaste: Task: bbox",
        "copypaste: AP,AP50",
        "copypaste: 12.3457,20.0000",
        "copypaste: time=3",
    ]
