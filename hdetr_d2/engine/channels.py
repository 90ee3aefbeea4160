"""What a model needs to know about images that are not RGB: number of channels and value range."""

import inspect
import logging
from collections.abc import Sequence

from detectron2.utils.registry import locate
from omegaconf import DictConfig

from hdetr_d2.data.channel_statistics import channel_statistics
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import image_format

logger = logging.getLogger(__name__)


def follow_channels(cfg: DictConfig, train_files: Sequence[str]) -> None:
    """Sets `model.backbone.in_chans`, and sets `pixel_mean` and `pixel_std` of
    `model.preprocessing` to measured values unless they already have one number per channel.
    Without `data.channels` nothing is changed.

    Args:
        train_files: the training images; empty if the training data were not read.

    Raises:
        UserError: the backbone supports RGB only, there are no images to measure, or an image does
            not have this number of channels.
    """
    channels = cfg.data.get("channels")
    if channels is None:
        return
    _set_channels(cfg.model.backbone, channels)
    preprocessing = cfg.model.preprocessing
    given = {key: len(preprocessing[key]) for key in ("pixel_mean", "pixel_std")}
    if set(given.values()) == {channels}:
        return
    if not train_files:
        raise UserError(
            f"data.channels={channels}, but model.preprocessing.pixel_mean has "
            f"{given['pixel_mean']} numbers: give pixel_mean and pixel_std of the training, which "
            "its config.yaml has"
        )
    images = image_format(channels, cfg.data.pixel_range)
    mean, std = channel_statistics(train_files, images)
    preprocessing.pixel_mean, preprocessing.pixel_std = mean, std
    logger.info(
        "data.channels=%d: model.preprocessing.pixel_mean=%s and pixel_std=%s, as measured",
        channels,
        mean,
        std,
    )


def _set_channels(backbone: DictConfig, channels: int) -> None:
    target = backbone._target_
    kind = locate(target) if isinstance(target, str) else target
    if "in_chans" not in inspect.signature(kind).parameters:
        raise UserError(
            f"data.channels={channels}: model.backbone ({kind.__name__}) takes RGB alone; a "
            "TimmBackbone takes any number of channels"
        )
    backbone.in_chans = channels
