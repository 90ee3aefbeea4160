"""The whole detector against recorded outputs of the released code: its checkpoint is converted,
and every loss, the gradients and the detections of all three ways to detect are compared.
"""

import hdetr_d2  # noqa: F401

import re
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.structures import Boxes

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.engine.convert import convert_checkpoint
from hdetr_d2.modeling.backbone import without_pretrained
from hdetr_d2.projects.co_detr.head_detections import HeadDetections

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "golden"))
sys.path.insert(0, str(Path(__file__).parent))
import golden
from draws import in_order
from golden_inputs import training_inputs

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).parents[1] / "configs"
HEADS = ("faster_rcnn", "atss")
# The last one has the second stage of Co-DINO on a ViT, and is tested like that.
CASES = ("co_deformable_detr", "co_dino", "co_dino_vit_heads")
# The losses of the heads themselves, ours -> theirs.
OF_HEADS = {
    "loss_faster_rcnn_class_rpn": "loss_rpn_cls",
    "loss_faster_rcnn_bbox_rpn": "loss_rpn_bbox",
    "loss_faster_rcnn_class": "loss_cls0",
    "loss_faster_rcnn_giou": "loss_bbox0",
    "loss_atss_class": "loss_cls1",
    "loss_atss_giou": "loss_bbox1",
    "loss_atss_centerness": "loss_centerness1",
}
_NAME = re.compile(r"loss_([a-z]+)(?:_([a-z_]+?))?(?:_(\d+))?")
KINDS = {"class": "cls", "bbox": "bbox", "giou": "iou"}


def their_name(name: str) -> str:
    """`loss_class_atss_0` is `d0.loss_cls_aux1` there, `loss_giou_enc` `enc_loss_iou`."""
    if name in OF_HEADS:
        return OF_HEADS[name]
    kind, group, layer = _NAME.fullmatch(name).groups()
    loss = f"loss_{KINDS[kind]}"
    if group == "enc":
        return f"enc_{loss}"
    if group == "dn":
        loss = f"dn_{loss}"
    elif group is not None:
        loss += f"_aux{HEADS.index(group)}"
    return loss if layer is None else f"d{layer}.{loss}"


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return golden.load(request.param, Path(__file__).parent)


@pytest.fixture(scope="module")
def converted(case):
    with TemporaryDirectory() as folder:  # a quarter of a GB, gone after its last test
        torch.save(case.checkpoint(), f"{folder}/theirs.pth")
        yield convert_checkpoint(
            f"{folder}/theirs.pth",
            source="co-detr",
            output=f"{folder}/ours",
            arguments=case.meta.get("arguments"),  # what the weights do not tell
        )


def take_tests(heads, recipe):
    """Gives the heads what a recipe does with them at inference; with 100 detections."""
    those = LazyConfig.load(str(recipe)).model.schemes[-1].collaborators
    heads.faster_rcnn.head.rpn.test = those.faster_rcnn.head.rpn.test
    for head, other in (
        (heads.faster_rcnn.head.roi_head, those.faster_rcnn.head.roi_head),
        (heads.atss.head, those.atss.head),
    ):
        head.suppression = {**other.suppression, "most": 100}


@pytest.fixture(scope="module")
def model(case, converted):
    cfg = LazyConfig.load(str(converted.config))
    if "tested_as" in case.meta:
        take_tests(cfg.model.schemes[-1].collaborators, RECIPES / f"{case.tested_as}.py")
    with without_pretrained():
        model = instantiate(cfg.model)
    model.load_state_dict(read_checkpoint(converted.weights)["model"])
    model.schemes[-1].draw = in_order
    return model


@pytest.fixture(autouse=True)
def constant_noise(monkeypatch):
    """Of denoising: as recorded, every label becomes 1, and every box moves."""
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(tuple(shape), 0.2))
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, 0.2))
    monkeypatch.setattr(torch, "randint_like", lambda x, high: torch.ones_like(x))


def of_levels(losses):
    """Those of the levels of a head are summed; `acc0` is none, and `loss` the sum of all."""
    summed = {name: sum(v) if isinstance(v, list) else v for name, v in losses.items()}
    return {name: v for name, v in summed.items() if "loss_" in name}


def check_losses(model, batch, expected, total):
    losses = model.train()(batch)
    ours = {their_name(name): loss.item() for name, loss in losses.items()}
    assert ours == pytest.approx(of_levels(expected), rel=1e-3)
    sum_of_all = sum(losses.values())
    assert sum_of_all.item() == pytest.approx(total, rel=1e-3)
    return sum_of_all


def test_every_loss_and_the_gradients(case, model):
    model.zero_grad()
    check_losses(model, training_inputs(case), case.losses, case.total).backward()
    norms = [p.grad.norm() for p in model.parameters() if p.requires_grad]
    assert torch.stack(norms).norm().item() == pytest.approx(case.total_grad_norm, rel=1e-2)


@pytest.mark.parametrize("name", ["alt_one_image_empty", "alt_all_empty"])
def test_every_loss_without_objects(case, model, name):
    other = case.meta[name]
    batch = replace(case, meta=case.meta | {key: other[key] for key in ("seed", "counts")})
    check_losses(model, training_inputs(batch), other["losses"], other["total"])


def test_the_number_of_positive_queries(case, model):
    groups = []
    with model.decoder.register_forward_pre_hook(lambda module, args: groups.extend(args[0])):
        model.train()(training_inputs(case))
    groups = {group.name: group for group in groups}
    for name, expected in zip(HEADS, case.aux, strict=True):
        group = groups[name]
        assert group.queries.content.shape[1] == 300
        assert group.valid.sum(1).tolist() == [expected["num_queries"]] * 2
        positives = (group.assigner.assignment[0] >= 0).sum(1)
        assert positives.tolist() == expected["positives_per_image"]


# The name of our detector -> the prefix of what was recorded.
DETECTORS = {None: "", "faster_rcnn": "rcnn_", "atss": "atss_"}


@pytest.mark.parametrize("name", DETECTORS)
def test_detections(case, model, name):
    batch = [{"image": image} for image in case.images]
    own = model.postprocessing
    model.postprocessing = own if name is None else HeadDetections(name=name)
    with torch.no_grad():
        outputs = model.eval()(batch)
    model.postprocessing = own
    for index, output in enumerate(outputs):
        found, prefix = output["instances"], f"{DETECTORS[name]}img{index}_"
        keys = ("scores", "boxes", "labels")
        scores, boxes, labels = (torch.from_numpy(case.arrays[prefix + key]) for key in keys)
        real = Boxes(boxes).nonempty()  # Detectron2 leaves the others out
        assert found.pred_classes.tolist() == labels[real].tolist()
        torch.testing.assert_close(found.scores, scores[real], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(found.pred_boxes.tensor, boxes[real], rtol=1e-3, atol=1e-2)


def test_nothing_of_the_heads_is_needed_at_inference(converted, model, case):
    plain = LazyConfig.load(str(converted.config))
    plain.model.schemes = []
    with without_pretrained():
        base = instantiate(plain.model)
    weights = model.state_dict()
    kept = {name: value for name, value in weights.items() if not name.startswith("schemes.")}
    base.load_state_dict(kept)
    batch = [{"image": image} for image in case.images]
    with torch.no_grad():
        pairs = zip(base.eval()(batch), model.eval()(batch), strict=True)
    for one, other in pairs:
        assert torch.equal(one["instances"].scores, other["instances"].scores)
        one, other = (each["instances"].pred_boxes.tensor for each in (one, other))
        assert torch.equal(one, other)
