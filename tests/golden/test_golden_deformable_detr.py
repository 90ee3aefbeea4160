"""Deformable-DETR++, alone and with the hybrid branch, against recorded outputs of the published
implementation: detections, losses, gradients.
"""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.structures import Boxes, Instances

from hdetr_d2.modeling.backbone import without_pretrained
from hdetr_d2.modeling.postprocessing import top_detections

sys.path.insert(0, str(Path(__file__).parent))
import golden
from reference_names import rename, rename_loss, total_norm

COMMON = Path(__file__).parents[2] / "configs" / "common"


@pytest.fixture(scope="module", params=["def_pp", "hybrid"])
def case(request):
    return golden.load(request.param)


def schemes(args):
    """What the reference's arguments say, as nodes of a config."""
    if not args["num_queries_one2many"]:
        return []
    branch = LazyConfig.load(str(COMMON / "schemes.py")).hybrid_branch
    branch.num_queries = args["num_queries_one2many"]
    branch.repeats = args["k_one2many"]
    branch.weight = args["lambda_one2many"]
    return [branch]


@pytest.fixture(scope="module")
def model(case):
    cfg = LazyConfig.load(str(COMMON / "models" / "deformable_detr_pp.py"))
    args = case.args
    cfg.data = {"num_classes": 91}
    cfg.model.encoder.num_layers = args["enc_layers"]
    cfg.model.encoder.sizes.feedforward_dim = args["dim_feedforward"]
    cfg.model.decoder.num_layers = args["dec_layers"]
    cfg.model.query_selection.num_queries = args["num_queries_one2one"]
    cfg.model.schemes = schemes(args)
    with without_pretrained():
        model = instantiate(cfg.model)
    state = rename(case.state_dict(), args["dec_layers"], args["num_queries_one2one"])
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not missing
    assert all(name.endswith("num_batches_tracked") or ".fc." in name for name in unexpected)
    return model


def inputs(case):
    """Detectron2's training inputs; an image's own size is that of the fed image."""
    batch = []
    for index, (image, target) in enumerate(zip(case.images, case.targets, strict=True)):
        height, width = image.shape[-2:]
        centre, size = target["boxes"].split(2, -1)
        xyxy = torch.cat([centre - size / 2, centre + size / 2], -1)
        xyxy = xyxy * torch.tensor([width, height, width, height])
        instances = Instances((height, width), gt_boxes=Boxes(xyxy), gt_classes=target["labels"])
        batch.append({"image": image, "instances": instances, "image_id": index})
    return batch


def test_every_loss_and_the_gradient_norm(case, model):
    losses = model.train()(inputs(case))
    expected = {rename_loss(name): value for name, value in case.weighted_losses.items()}
    assert set(losses) == set(expected)
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-3), name
    model.zero_grad()
    sum(losses.values()).backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert total_norm(gradients) == pytest.approx(case.total_grad_norm, rel=1e-2)


def test_the_detections(case, model):
    batch = inputs(case)
    with torch.no_grad():
        images = model.eval().preprocessing([item["image"] for item in batch])
        memory = model.encoder(model.neck(model.backbone(images.tensor)), images.padding)
        predictions = model._detect(memory)
    scores = model.criterion.class_loss.scores(predictions.logits[-1])
    for found, expected in zip(
        top_detections(scores, predictions.boxes[-1], images.sizes, 100),
        case.detections,
        strict=True,
    ):
        torch.testing.assert_close(found.scores, expected["scores"], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(found.pred_classes, expected["labels"])
        torch.testing.assert_close(found.pred_boxes.tensor, expected["boxes"], rtol=1e-3, atol=1e-2)
