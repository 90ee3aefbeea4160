"""The parts of a training, built from the nodes of a config."""

from contextlib import nullcontext
from typing import Any

from detectron2.config import instantiate
from detectron2.utils import comm
from omegaconf import DictConfig, ListConfig
from torch import nn
from torch.optim import Optimizer

from hdetr_d2.engine.device import choose_device
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import without_pretrained


def build(cfg: DictConfig, name: str) -> Any:
    """What the node `name` of the config describes.

    Raises:
        UserError: its options do not go together.
    """
    try:
        return instantiate(cfg[name])
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: {' '.join(str(error).split())}") from error


def build_model(cfg: DictConfig, *, weights_follow: bool) -> nn.Module:
    """The model on its device.

    Args:
        weights_follow: a checkpoint with all weights is loaded next: look for none elsewhere.
    """
    with without_pretrained() if weights_follow else nullcontext():
        model = build(cfg, "model")
    return model.to(choose_device(cfg.train.device, comm.get_local_rank()))


def build_optimizer(node: DictConfig, model: nn.Module) -> Optimizer:
    """The optimizer of a config node whose `params` is a call that takes the model.

    Raises:
        UserError: an option is unknown or out of range.
    """
    params = instantiate({**node.params, "model": model})
    options = {
        # Optimizers save their options, and a checkpoint holds plain Python only.
        key: tuple(value) if isinstance(value, ListConfig) else value
        for key, value in node.items()
        if key != "params"
    }
    try:
        return instantiate({**options, "params": params})
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer: {error}") from error


def build_train_loader(cfg: DictConfig, iteration: int) -> Any:
    """The training stream of this process, behind `iteration` steps."""
    position = {"accumulate": cfg.train.accumulate, "start_iteration": iteration}
    return instantiate({**cfg.dataloader.train, **position})
