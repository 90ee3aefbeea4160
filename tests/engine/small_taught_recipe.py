"""The small recipe with teachers of boxes and of features."""

from ...configs.common.schemes import feature_distillation, teach_detr
from .small_recipe import data, dataloader, lr_multiplier, model, optimizer, train

__all__ = ["data", "dataloader", "lr_multiplier", "model", "optimizer", "train"]

feature_distillation.teacher_dim = 96
feature_distillation.teacher.update(name="test_resnet", feature="res5", pretrained=False)
model.schemes = [teach_detr, feature_distillation]
