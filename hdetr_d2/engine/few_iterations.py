"""Few images make for few iterations per epoch: warns, and says how many epochs would be enough."""

import logging
import math

from omegaconf import DictConfig

logger = logging.getLogger(__name__)

FEW = 500


def warn_of_few_iterations(cfg: DictConfig) -> None:
    """Logs a warning if the epochs of a training amount to fewer than `FEW` iterations.

    Args:
        cfg: has `train.max_iter`, derived from `train.epochs`.
    """
    train = cfg.train
    if train.max_iter < FEW:
        epochs = math.ceil(FEW / train.iterations_per_epoch)
        logger.warning(
            "%g epochs of so few images are %d iterations, and a detector learns a good deal more "
            "in %d: --epochs %d",
            *(train.epochs, train.max_iter, epochs * train.iterations_per_epoch, epochs),
        )
