"""How a published model was trained, as config options: arguments common to DETR's successors."""

from collections.abc import Mapping
from typing import Any

from hdetr_d2.checkpoint.importers.arguments import Arguments

TRAINING_OPTIONS = {
    "dropout": "model.encoder.sizes.dropout",
    "focal_alpha": "model.criterion.class_loss.alpha",
    "set_cost_class": "model.criterion.matcher.weights.class",
    "set_cost_bbox": "model.criterion.matcher.weights.bbox",
    "set_cost_giou": "model.criterion.matcher.weights.giou",
    "cls_loss_coef": "model.criterion.weights.class",
    "bbox_loss_coef": "model.criterion.weights.bbox",
    "giou_loss_coef": "model.criterion.weights.giou",
    "lr": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "clip_max_norm": "train.clip_grad_norm",
    "epochs": "train.epochs",
}
"""Script argument -> config option."""


def training_options(arguments: Arguments, options: Mapping[str, str]) -> dict[str, Any]:
    """The stated values of `options`, and the epochs at which the learning rate drops; everything
    else is as in the recipe.
    """
    found = {
        option: arguments[name] for name, option in options.items() if name in arguments.stated
    }
    if "epochs" in arguments.stated:
        drop, epochs = arguments["lr_drop"], arguments["epochs"]
        found["lr_multiplier.milestones"] = list(range(drop, epochs, max(drop, 1)))
    return found
