"""Checkpoints as the published script saves them, converted: the detections that it recorded."""

import sys
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate

from hdetr_d2.checkpoint import load_for_inference
from hdetr_d2.checkpoint.importers import class_names
from hdetr_d2.engine.convert import convert_checkpoint
from hdetr_d2.modeling.backbone import without_pretrained

sys.path.insert(0, str(Path(__file__).parent))
import golden


def inside(boxes, instances):
    """Recorded boxes as Detectron2 gives them: cut off at the edges of the image."""
    height, width = instances.image_size
    return torch.stack(
        [boxes[:, i].clamp(0, side) for i, side in enumerate([width, height] * 2)], -1
    )


def detect(case, folder, *, classes="all"):
    """Config and detections of the converted checkpoint of a case."""
    torch.save(case.checkpoint(), folder / "theirs.pth")
    result = convert_checkpoint(
        folder / "theirs.pth", source="h-deformable-detr", output=folder / "ours", classes=classes
    )
    assert not result.assumed
    cfg = LazyConfig.load(str(result.config))
    with without_pretrained():
        model = instantiate(cfg.model).eval()
    load_for_inference(model, result.weights)
    images = [
        {"image": image, "height": image.shape[-2], "width": image.shape[-1]}
        for image in case.images
    ]
    with torch.no_grad():
        return cfg, [output["instances"] for output in model(images)]


@pytest.mark.parametrize("name", ["def_pp", "hybrid"])
def test_a_converted_checkpoint_detects_what_was_recorded(name, tmp_path):
    case = golden.load(name)
    cfg, found = detect(case, tmp_path)
    assert cfg.model.query_selection.num_queries == 30
    for ours, theirs in zip(found, case.detections, strict=True):
        torch.testing.assert_close(ours.scores, theirs["scores"], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(ours.pred_classes, theirs["labels"])
        boxes = inside(theirs["boxes"], ours)
        torch.testing.assert_close(ours.pred_boxes.tensor, boxes, rtol=1e-3, atol=1e-2)


def test_with_coco80_the_same_objects_have_contiguous_labels(tmp_path):
    case = golden.load("def_pp")
    cfg, found = detect(case, tmp_path, classes="coco80")
    assert cfg.data.num_classes == 80
    names = class_names(91, coco80=False)
    ids = [category for category, name in enumerate(names) if not name.startswith("class")]
    for ours, theirs in zip(found, case.detections, strict=True):
        used = torch.isin(theirs["labels"], torch.tensor(ids))
        labels = torch.tensor(ids)[ours.pred_classes][: used.sum()]
        assert used.sum() > 50
        torch.testing.assert_close(labels, theirs["labels"][used])
        found_boxes = ours.pred_boxes.tensor[: used.sum()]
        boxes = inside(theirs["boxes"][used], ours)
        torch.testing.assert_close(found_boxes, boxes, rtol=1e-3, atol=1e-2)
