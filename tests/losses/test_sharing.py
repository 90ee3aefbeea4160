"""A model has one class loss, whatever parts ask it."""

import pytest
import torch
from detectron2.config import LazyCall, instantiate
from torch import Tensor, nn

from hdetr_d2.losses import FocalLoss


class Learned(FocalLoss):
    """A loss with a state: what one part learns of it, all know."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, logits: Tensor, labels: Tensor, quality: Tensor | None = None) -> Tensor:
        return self.scale * super().forward(logits, labels)


MODELS = ["detr", "deformable_detr", "deformable_detr_two_stage", "dino"]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_one_class_loss(tiny_config, make_batch, name):
    cfg = tiny_config(f"common/models/{name}.py")
    cfg.model.criterion.class_loss = LazyCall(Learned)()
    model = instantiate(cfg.model)
    assert [each for each in model.modules() if isinstance(each, Learned)] == [
        model.criterion.class_loss
    ]
    sum(model(make_batch([2, 1])).values()).backward()
    assert model.criterion.class_loss.scale.grad != 0


def test_parts_for_another_class_loss(tiny_model):
    with pytest.raises(ValueError, match="PredictionHeads was built for a FocalLoss, but .* Softm"):
        tiny_model(
            decoder__heads__class_loss={"_target_": "hdetr_d2.losses.FocalLoss"},
            criterion__class_loss={"_target_": "hdetr_d2.losses.SoftmaxLoss"},
        )
