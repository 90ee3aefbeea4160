"""Epochs of few images are few iterations: whoever trains so is told what would be enough."""

import logging
import math

from omegaconf import DictConfig

logger = logging.getLogger(__name__)

FEW = 500


def warn_of_few_iterations(cfg: DictConfig) -> None:
    """Log a warning if the epochs of a training come to fewer than `FEW` iterations.

    Args:
        cfg: with `train.max_iter`, which came of `train.epochs`.
    """
    train = cfg.train
    if train.max_iter < FEW:
        epochs = math.ceil(FEW / train.iterations_per_epoch)
        logger.warning(
            "%g epochs of so few images are %d iterations, and a detector learns a good deal more "
            "in %d: --epochs %d",
            *(train.epochs, train.max_iter, epochs * train.iterations_per_epoch, epochs),
        )
