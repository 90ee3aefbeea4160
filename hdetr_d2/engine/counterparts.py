"""Options that belong together: warns if overrides change only one of a pair."""

import logging

from omegaconf import DictConfig, OmegaConf

logger = logging.getLogger(__name__)

BATCH, RATE = "dataloader.train.total_batch_size", "optimizer.lr"
EPOCHS, MILESTONES = "train.epochs", "lr_multiplier.milestones"


def warn_of_counterparts(cfg: DictConfig, written: DictConfig) -> None:
    """Logs a warning if the batch size changes but not the learning rate, or the length of the
    training but not the milestones.

    Args:
        cfg: the config with the overrides.
        written: the same config without the overrides.
    """
    if _one_alone(cfg, written, BATCH, RATE) and not cfg.train.get("reference_batch"):
        before, now = (OmegaConf.select(config, BATCH) for config in (written, cfg))
        logger.warning(
            "%s=%s where the config has %s, but %s=%g stays: train.reference_batch=%s lets it "
            "follow",
            BATCH,
            now,
            before,
            RATE,
            cfg.optimizer.lr,
            before,
        )
    if _one_alone(cfg, written, EPOCHS, MILESTONES) and cfg.train.get("max_iter") is None:
        logger.warning(
            "%s=%s where the config has %s, but the learning rate drops at %s=%s as before",
            EPOCHS,
            cfg.train.epochs,
            written.train.epochs,
            MILESTONES,
            list(cfg.lr_multiplier.milestones),
        )


def _one_alone(cfg: DictConfig, written: DictConfig, changed: str, stays: str) -> bool:
    """Whether the first option differs while the second, which must exist, does not."""
    first, second = (
        OmegaConf.select(cfg, key) == OmegaConf.select(written, key) for key in (changed, stays)
    )
    return not first and second and OmegaConf.select(cfg, stays) is not None
