"""Checkpoints as the published scripts save them, converted: the losses, gradients and detections
that the published implementations recorded.
"""

import hdetr_d2  # noqa: F401

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from detectron2.config import LazyConfig, instantiate

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.checkpoint.importers import class_names
from hdetr_d2.checkpoint.weights import put_weights
from hdetr_d2.engine.convert import convert_checkpoint
from hdetr_d2.modeling.backbone import without_pretrained

sys.path.insert(0, str(Path(__file__).parent))
import golden
from golden_inputs import training_inputs

# The case -> the script whose checkpoint it is.
SOURCES = {
    "def_pp": "h-deformable-detr",
    "hybrid": "h-deformable-detr",
    "detr_r50": "detr",
    "dino_4scale": "dino",
}


def convert(name, folder, *, classes="all"):
    """The recorded case, and config and model of its converted checkpoint."""
    case = golden.load(name)
    torch.save(case.checkpoint(), folder / "theirs.pth")
    result = convert_checkpoint(
        folder / "theirs.pth", source=SOURCES[name], output=folder / "ours", classes=classes
    )
    assert not result.assumed
    cfg = LazyConfig.load(str(result.config))
    with without_pretrained():
        model = instantiate(cfg.model)
    put_weights(model, read_checkpoint(result.weights)["model"], name)
    return case, cfg, model


@pytest.fixture(scope="module", params=SOURCES)
def converted(request):
    with TemporaryDirectory() as folder:  # a quarter of a GB, gone after its last test
        yield convert(request.param, Path(folder))


def rename_loss(name):
    """`loss_ce_0_one2many` is `loss_class_one2many_0` here, `loss_ce_interm` `loss_class_enc`."""
    name = name.replace("loss_ce", "loss_class").replace("_interm", "_enc")
    return re.sub(r"(_\d+)_one2many$", r"_one2many\1", name)


def total_norm(gradients):
    return torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients])).item()


def test_every_loss_and_the_gradient_norm(converted):
    case, _, model = converted
    losses = model.train()(training_inputs(case))
    expected = {rename_loss(name): value for name, value in case.weighted_losses.items()}
    assert set(losses) == set(expected)
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-3), name
    model.zero_grad()
    sum(losses.values()).backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert total_norm(gradients) == pytest.approx(case.total_grad_norm, rel=1e-2)


def detect(case, model):
    with torch.no_grad():
        return [output["instances"] for output in model.eval()(training_inputs(case))]


def inside(boxes, instances):
    """Recorded boxes as Detectron2 gives them: cut off at the edges of the image."""
    height, width = instances.image_size
    return torch.stack(
        [boxes[:, i].clamp(0, side) for i, side in enumerate([width, height] * 2)], -1
    )


def test_the_detections(converted):
    case, _, model = converted
    for ours, theirs in zip(detect(case, model), case.detections, strict=True):
        torch.testing.assert_close(ours.scores, theirs["scores"], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(ours.pred_classes, theirs["labels"])
        boxes = inside(theirs["boxes"], ours)
        torch.testing.assert_close(ours.pred_boxes.tensor, boxes, rtol=1e-3, atol=1e-2)


# DINO ranks proposals by their best class: without the unused ones others could come first.
def test_with_coco80_the_same_objects_have_contiguous_labels(tmp_path):
    case, cfg, model = convert("def_pp", tmp_path, classes="coco80")
    assert cfg.data.num_classes == 80
    names = class_names(91)
    ids = [category for category, name in enumerate(names) if not name.startswith("class")]
    for ours, theirs in zip(detect(case, model), case.detections, strict=True):
        used = torch.isin(theirs["labels"], torch.tensor(ids))
        labels = torch.tensor(ids)[ours.pred_classes][: used.sum()]
        assert used.sum() > 50
        torch.testing.assert_close(labels, theirs["labels"][used])
        found_boxes = ours.pred_boxes.tensor[: used.sum()]
        boxes = inside(theirs["boxes"][used], ours)
        torch.testing.assert_close(found_boxes, boxes, rtol=1e-3, atol=1e-2)
